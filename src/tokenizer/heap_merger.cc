// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/heap_merger.h"

#include <algorithm>
#include <functional>

namespace tercet {
namespace {

constexpr int32_t kGone = -1;  // merged into its left neighbour

uint64_t entry(uint32_t rank, int32_t left) {
  return uint64_t{rank} << 32 | static_cast<uint32_t>(left);
}

}  // namespace

void HeapMerger::merge(const MergeTable& table, std::vector<int32_t>& ids) {
  table_ = &table;
  ids_ = &ids;
  const auto count = static_cast<int32_t>(ids.size());
  links_.resize(ids.size());
  for (int32_t at = 0; at < count; ++at) {
    links_[static_cast<size_t>(at)] = {at - 1, at + 1 < count ? at + 1 : kNone};
  }
  agenda_.clear();
  for (int32_t at = 0; at + 1 < count; ++at) {
    const uint32_t rank = rank_at(at);
    if (rank != MergeTable::kNoRank) agenda_.push_back(entry(rank, at));
  }
  std::make_heap(agenda_.begin(), agenda_.end(), std::greater<>());
  while (!agenda_.empty()) {
    std::pop_heap(agenda_.begin(), agenda_.end(), std::greater<>());
    const uint64_t best = agenda_.back();
    agenda_.pop_back();
    const auto left = static_cast<int32_t>(best & 0xFFFFFFFFu);
    if (rank_at(left) == best >> 32) merge_pair(left);
  }
  std::erase(ids, kGone);
}

// Of the pair whose left half stands at `left`; kNoRank when there is none or it does not merge.
uint32_t HeapMerger::rank_at(int32_t left) const {
  const int32_t id = (*ids_)[static_cast<size_t>(left)];
  const int32_t next = links_[static_cast<size_t>(left)].next;
  if (id == kGone || next == kNone) return MergeTable::kNoRank;
  return table_->find(id, (*ids_)[static_cast<size_t>(next)]).rank;
}

void HeapMerger::propose(int32_t left) {
  const uint32_t rank = rank_at(left);
  if (rank == MergeTable::kNoRank) return;
  agenda_.push_back(entry(rank, left));
  std::push_heap(agenda_.begin(), agenda_.end(), std::greater<>());
}

void HeapMerger::merge_pair(int32_t left) {
  Link& link = links_[static_cast<size_t>(left)];
  int32_t& id = (*ids_)[static_cast<size_t>(left)];
  int32_t& next_id = (*ids_)[static_cast<size_t>(link.next)];
  id = table_->find(id, next_id).id;
  next_id = kGone;
  link.next = links_[static_cast<size_t>(link.next)].next;
  if (link.next != kNone) {
    links_[static_cast<size_t>(link.next)].previous = left;
    propose(left);
  }
  if (link.previous != kNone) propose(link.previous);
}

}  // namespace tercet
