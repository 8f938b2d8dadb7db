// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/merge_scores.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "formats/json.h"
#include "tokenizer/tokenizer_json.h"
#include "tokenizer/unicode.h"
#include "tokenizer/utf8.h"

namespace tercet {
namespace {

// Scores are whole numbers; f32 tells neighbours apart up to here.
constexpr size_t kMaxMerges = size_t{1} << 24;

std::string summary_of(const Json& steps) {
  HfSpec spec;
  read_normalizer({{"type", "Sequence"}, {"normalizers", steps}}, "", spec);
  return spec.normalizer_summary;
}

// Whether a space is put before the text, where spaces become U+2581 and nothing else happens.
std::optional<bool> leading_space(const HfSpec& spec) {
  if (!spec.pre_tokenizer_summary.empty()) return std::nullopt;
  const Json escape = {
      {"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpaceSymbol}};
  const Json prepend = {{"type", "Prepend"}, {"prepend", kSpaceSymbol}};
  if (spec.normalizer_summary == summary_of(Json::array({prepend, escape}))) return true;
  if (spec.normalizer_summary == summary_of(Json::array({escape}))) return false;
  return std::nullopt;
}

// The rank of the first merge into each token.
std::vector<uint32_t> first_ranks(const BpeModel& model) {
  std::vector<uint32_t> ranks(model.pieces().size(), MergeTable::kNoRank);
  for (const auto& [left, right] : model.merges()) {
    const MergeTable::Merge merge = model.merge_table().find(left, right);
    uint32_t& rank = ranks[static_cast<size_t>(merge.id)];
    rank = std::min(rank, merge.rank);
  }
  return ranks;
}

// Any two pieces that make up `piece` must merge into it, and before any other piece's merges: the
// ranks of its merges must not enclose another's first.
bool all_splits_merge(const BpeModel& model, const Piece& piece, int32_t id,
                      const std::vector<uint32_t>& sorted_first_ranks, uint32_t first_rank) {
  const std::string_view text = piece.text;
  for (size_t at = code_point_at(text.data()).length; at < text.size();
       at += code_point_at(text.data() + at).length) {
    const int32_t left = model.find(text.substr(0, at));
    const int32_t right = model.find(text.substr(at));
    if (left < 0 || right < 0) continue;
    const MergeTable::Merge merge = model.merge_table().find(left, right);
    if (merge.id != id) return false;
    const auto next =
        std::upper_bound(sorted_first_ranks.begin(), sorted_first_ranks.end(), first_rank);
    if (next != sorted_first_ranks.end() && *next < merge.rank) return false;
  }
  return true;
}

}  // namespace

std::optional<SentencePieceScores> sentencepiece_scores(const HfSpec& spec, const BpeModel& model) {
  const auto leading = leading_space(spec);
  if (!leading || model.byte_level() || !model.byte_fallback() || model.ignore_merges() ||
      model.merges().size() >= kMaxMerges) {
    return std::nullopt;
  }
  const std::vector<uint32_t> ranks = first_ranks(model);
  std::vector<uint32_t> sorted = ranks;
  std::sort(sorted.begin(), sorted.end());
  SentencePieceScores scores;
  scores.leading_space = *leading;
  for (size_t id = 0; id < model.pieces().size(); ++id) {
    const Piece& piece = model.pieces()[id];
    const bool merges = piece.type == PieceType::kNormal && !piece.text.empty();
    if (merges && !all_splits_merge(model, piece, static_cast<int32_t>(id), sorted, ranks[id])) {
      return std::nullopt;
    }
    const bool ranked = ranks[id] != MergeTable::kNoRank;
    scores.values.push_back(ranked ? -static_cast<float>(ranks[id])
                                   : -static_cast<float>(model.merges().size()));
  }
  return scores;
}

}  // namespace tercet
