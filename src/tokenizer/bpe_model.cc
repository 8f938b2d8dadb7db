// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/bpe_model.h"

#include <algorithm>

#include "core/error.h"
#include "formats/printable.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/unicode.h"

namespace tercet {
namespace {

// Words of up to this many pieces are merged by looking at all pairs each time.
constexpr size_t kFewPieces = 48;
constexpr size_t kMaxPieces = size_t{1} << 31;  // of one word: places fit 32 bits

std::string byte_piece(uint8_t byte) { return fmt::format("<0x{:02X}>", byte); }

}  // namespace

BpeModel::BpeModel(BpeSpec spec)
    : origin_(std::move(spec.origin)),
      pieces_(std::move(spec.pieces)),
      index_(pieces_.size()),
      table_(spec.merges.size()),
      unknown_id_(spec.unknown_id),
      byte_level_(spec.byte_level),
      byte_fallback_(spec.byte_fallback),
      fuse_unknown_(spec.fuse_unknown),
      ignore_merges_(spec.ignore_merges) {
  index_pieces();
  read_merges(spec.merges);
  index_bytes();
  index_char_pairs();
}

void BpeModel::index_pieces() {
  for (size_t id = 0; id < pieces_.size(); ++id) {
    if (pieces_[id].text.empty()) continue;  // a hole in the numbering
    longest_piece_ = std::max(longest_piece_, pieces_[id].text.size());
    if (!index_.insert(pieces_, static_cast<int32_t>(id))) {
      fail(ErrorCode::kBadInput, "{}: two tokens have the text '{}'", origin_,
           printable(pieces_[id].text));
    }
  }
}

void BpeModel::read_merges(const std::vector<std::pair<std::string, std::string>>& merges) {
  merges_.reserve(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    const int32_t left_id = find(left);
    const int32_t right_id = find(right);
    const int32_t joined = find(left + right);
    if (left_id < 0 || right_id < 0 || joined < 0) {
      fail(ErrorCode::kBadInput, "{}: merge {} ('{}' and '{}') {} no token", origin_, rank,
           printable(left), printable(right), joined < 0 ? "gives" : "takes what is");
    }
    merges_.emplace_back(left_id, right_id);
    table_.insert(left_id, right_id, {static_cast<uint32_t>(rank), joined});
  }
}

void BpeModel::index_bytes() {
  for (uint32_t byte = 0; byte < byte_ids_.size(); ++byte) {
    std::string text;
    if (byte_level_) {
      append_utf8(byte_level_char(static_cast<uint8_t>(byte)), text);
    } else if (byte_fallback_) {
      text = byte_piece(static_cast<uint8_t>(byte));
    }
    byte_ids_[byte] = text.empty() ? -1 : find(text);
  }
  for (uint32_t code = 0; code < ascii_ids_.size(); ++code) {
    ascii_ids_[code] = find(std::string(1, static_cast<char>(code)));
  }
}

bool BpeModel::has_all_bytes() const {
  return std::all_of(byte_ids_.begin(), byte_ids_.end(), [](int32_t id) { return id >= 0; });
}

// Worth it for models that take whole texts as one word. Whole-word look-ups reach across every
// boundary, and so do unknown characters that fuse, or vanish and leave their neighbours adjacent.
void BpeModel::index_char_pairs() {
  const bool unknown_stays_alone = unknown_id_ >= 0 && !fuse_unknown_;
  splits_long_ = !byte_level_ && !ignore_merges_ && (unknown_stays_alone || has_all_bytes());
  if (!splits_long_) return;
  for (const auto& [left, right] : merges_) {
    const std::string text =
        pieces_[static_cast<size_t>(left)].text + pieces_[static_cast<size_t>(right)].text;
    CodePoint previous = code_point_at(text.data());
    for (size_t at = previous.length; at < text.size();) {
      const CodePoint point = code_point_at(text.data() + at);
      pairs_.insert(previous.code, point.code);
      at += point.length;
      previous = point;
    }
  }
}

void BpeModel::encode_long(std::string_view text, BpeWorkspace& workspace,
                           std::vector<int32_t>& ids) const {
  if (!splits_long_) return encode_word(text, workspace, ids);
  size_t begin = 0;
  CodePoint previous = code_point_at(text.data());
  for (size_t at = previous.length; at < text.size();) {
    const CodePoint point = code_point_at(text.data() + at);
    if (!pairs_.contains(previous.code, point.code)) {
      encode_word(text.substr(begin, at - begin), workspace, ids);
      begin = at;
    }
    at += point.length;
    previous = point;
  }
  encode_word(text.substr(begin), workspace, ids);
}

void BpeModel::encode_word(std::string_view word, BpeWorkspace& workspace,
                           std::vector<int32_t>& ids) const {
  if (word.size() > WordCache::kMaxBytes) return encode_uncached(word, workspace, ids);
  const WordCache::Key key = WordCache::key_of(word);
  const std::span<const int32_t> known = workspace.cache.find(key);
  if (known.size() == 1) {
    ids.push_back(known[0]);
  } else if (!known.empty()) {
    ids.insert(ids.end(), known.begin(), known.end());
  } else {
    const size_t begin = ids.size();
    encode_uncached(word, workspace, ids);
    workspace.cache.store(key, std::span(ids).subspan(begin));
  }
}

void BpeModel::encode_uncached(std::string_view word, BpeWorkspace& workspace,
                               std::vector<int32_t>& ids) const {
  if (ignore_merges_) {
    const int32_t whole = find_word(word, workspace);
    if (whole >= 0) {
      ids.push_back(whole);
      return;
    }
  }
  split_into_pieces(word, workspace);
  if (workspace.ids.size() <= kFewPieces) {
    merge_few(workspace);
  } else {
    workspace.merger.merge(table_, workspace.ids);
  }
  ids.insert(ids.end(), workspace.ids.begin(), workspace.ids.end());
}

// The token that is the whole word, or -1.
int32_t BpeModel::find_word(std::string_view word, BpeWorkspace& workspace) const {
  if (word.size() > longest_piece_) return -1;
  if (!byte_level_) return find(word);
  workspace.text.clear();
  append_byte_level(word, workspace.text);
  return find(workspace.text);
}

void BpeModel::split_into_pieces(std::string_view word, BpeWorkspace& workspace) const {
  if (word.size() >= kMaxPieces) {
    fail(ErrorCode::kUnsupported, "a text of {} bytes without a break is too long", word.size());
  }
  workspace.ids.clear();
  if (!byte_level_) return split_into_characters(word, workspace);
  bool after_unknown = false;
  for (const char c : word) {
    const int32_t id = byte_ids_[static_cast<uint8_t>(c)];
    const bool skip = id < 0 && (unknown_id_ < 0 || (after_unknown && fuse_unknown_));
    if (!skip) workspace.ids.push_back(id < 0 ? unknown_id_ : id);
    after_unknown = id < 0;
  }
}

void BpeModel::split_into_characters(std::string_view word, BpeWorkspace& workspace) const {
  bool after_unknown = false;
  for (size_t at = 0; at < word.size();) {
    const CodePoint point = code_point_at(word.data() + at);
    const std::string_view character = word.substr(at, point.length);
    at += point.length;
    const int32_t id = point.code < ascii_ids_.size() ? ascii_ids_[point.code] : find(character);
    if (id >= 0) {
      workspace.ids.push_back(id);
    } else if (byte_fallback_ && split_into_bytes(character, workspace.ids)) {
      continue;  // an unknown character before and one after still fuse, as in the Rust tokenizers
    } else if (unknown_id_ >= 0 && !(after_unknown && fuse_unknown_)) {
      workspace.ids.push_back(unknown_id_);
    }
    after_unknown = id < 0;
  }
}

bool BpeModel::split_into_bytes(std::string_view character, std::vector<int32_t>& ids) const {
  for (const char c : character) {
    if (byte_ids_[static_cast<uint8_t>(c)] < 0) return false;
  }
  for (const char c : character) ids.push_back(byte_ids_[static_cast<uint8_t>(c)]);
  return true;
}

void BpeModel::merge_few(BpeWorkspace& workspace) const {
  std::vector<int32_t>& ids = workspace.ids;
  std::vector<MergeTable::Merge>& merges = workspace.merges;
  size_t count = ids.size();
  if (count < 2) return;
  merges.resize(count - 1);
  for (size_t i = 0; i + 1 < count; ++i) merges[i] = table_.find(ids[i], ids[i + 1]);
  while (count > 1) {
    const auto best = std::min_element(
        merges.begin(), merges.begin() + static_cast<std::ptrdiff_t>(count - 1),
        [](const MergeTable::Merge& a, const MergeTable::Merge& b) { return a.rank < b.rank; });
    if (best->rank == MergeTable::kNoRank) break;
    const auto i = static_cast<size_t>(best - merges.begin());
    ids[i] = best->id;
    std::move(ids.begin() + static_cast<std::ptrdiff_t>(i + 2),
              ids.begin() + static_cast<std::ptrdiff_t>(count),
              ids.begin() + static_cast<std::ptrdiff_t>(i + 1));
    std::move(best + 1, merges.begin() + static_cast<std::ptrdiff_t>(count - 1), best);
    --count;
    if (i > 0) merges[i - 1] = table_.find(ids[i - 1], ids[i]);
    if (i + 1 < count) merges[i] = table_.find(ids[i], ids[i + 1]);
  }
  ids.resize(count);
}

}  // namespace tercet
