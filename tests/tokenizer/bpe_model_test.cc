// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/bpe_model.h"

#include <chrono>

#include "tokenizer/byte_level.h"
#include "tokenizer/support.h"
#include "tokenizer/unicode.h"

namespace tercet {
namespace {

using testing::expect_error;
using Ids = std::vector<int32_t>;

// A byte-level vocabulary of all bytes and `merges` random merges of what there is so far.
BpeSpec random_spec(Rng& rng, size_t merges) {
  BpeSpec spec;
  spec.origin = "test.json";
  spec.byte_level = true;
  std::vector<std::string> known;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    std::string text;
    append_utf8(byte_level_char(static_cast<uint8_t>(byte)), text);
    spec.pieces.push_back({text, 0, PieceType::kNormal});
    if (byte >= 'a' && byte <= 'c') known.push_back(text);
  }
  while (spec.merges.size() < merges) {
    const std::string left = known[rng.below(known.size())];
    const std::string right = known[rng.below(known.size())];
    const bool there = std::any_of(spec.pieces.begin(), spec.pieces.end(),
                                   [&](const Piece& piece) { return piece.text == left + right; });
    const bool merged = std::find(spec.merges.begin(), spec.merges.end(), std::pair(left, right)) !=
                        spec.merges.end();
    if (merged) continue;
    spec.merges.emplace_back(left, right);
    if (there) continue;
    spec.pieces.push_back({left + right, 0, PieceType::kNormal});
    known.push_back(left + right);
  }
  return spec;
}

// By the definition: the pair of lowest rank anywhere, the leftmost of equals, until none is left.
Ids naive(const BpeModel& model, std::string_view word) {
  Ids ids;
  for (const char c : word) ids.push_back(static_cast<uint8_t>(c));
  while (true) {
    size_t best = ids.size();
    MergeTable::Merge merge;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const MergeTable::Merge found = model.merge_table().find(ids[i], ids[i + 1]);
      if (found.rank < merge.rank) {
        merge = found;
        best = i;
      }
    }
    if (best == ids.size()) return ids;
    ids[best] = merge.id;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(BpeModel, MergesAsDefined) {
  Rng rng(1);
  for (int round = 0; round < 30; ++round) {
    const BpeModel model(random_spec(rng, 5 + rng.below(60)));
    BpeWorkspace workspace;
    for (const size_t longest : {12u, 60u, 400u}) {
      std::string word;
      for (uint64_t i = 1 + rng.below(longest); i > 0; --i) {
        word += static_cast<char>('a' + rng.below(rng.below(9) == 0 ? 26 : 3));
      }
      for (int again = 0; again < 2; ++again) {  // the second from the cache
        Ids ids = {-7};
        model.encode_word(word, workspace, ids);
        ids.erase(ids.begin());
        EXPECT_EQ(ids, naive(model, word)) << word;
      }
    }
  }
}

TEST(BpeModel, TimeIsLinearInTheTextAlmost) {
  Rng rng(2);
  const BpeModel model(random_spec(rng, 60));
  BpeWorkspace workspace;
  std::string random;
  while (random.size() < size_t{1} << 20) random += static_cast<char>('a' + rng.below(3));
  for (const std::string& word : {std::string(1 << 20, 'a'), random}) {
    Ids ids;
    const auto start = std::chrono::steady_clock::now();
    model.encode_word(word, workspace, ids);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    EXPECT_FALSE(ids.empty());
    EXPECT_LT(seconds.count(), 20);  // a quadratic one takes hours
  }
}

TEST(BpeModel, RefusesWhatDoesNotFitTogether) {
  const auto spec = [] {
    BpeSpec out;
    out.origin = "test.json";
    for (const char* text : {"a", "b", "ab"}) out.pieces.push_back({text, 0, PieceType::kNormal});
    return out;
  };
  BpeSpec twice = spec();
  twice.pieces.push_back({"a", 0, PieceType::kNormal});
  expect_error(ErrorCode::kBadInput, "two tokens have the text 'a'",
               [&] { BpeModel{std::move(twice)}; });
  for (const auto& merge :
       {std::pair("a", "c"), std::pair("c", "a"), std::pair("b", "a"), std::pair("", "a")}) {
    BpeSpec bad = spec();
    bad.merges = {{merge.first, merge.second}};
    expect_error(ErrorCode::kBadInput, "merge 0", [&] { BpeModel{std::move(bad)}; });
  }
}

// Characters outside the vocabulary: as bytes, as one unknown each or for all, or not at all.
TEST(BpeModel, UnknownCharacters) {
  const auto ids_of = [](bool unknown, bool fuse, bool bytes, std::string_view text) {
    BpeSpec spec;
    for (const char* piece : {"a", "b", "ab", "<unk>", "<0xC3>", "<0xA9>"}) {
      spec.pieces.push_back({piece, 0, PieceType::kNormal});
    }
    spec.merges = {{"a", "b"}};
    spec.unknown_id = unknown ? 3 : -1;
    spec.fuse_unknown = fuse;
    spec.byte_fallback = bytes;
    const BpeModel model(std::move(spec));
    BpeWorkspace workspace;
    Ids ids;
    model.encode_long(text, workspace, ids);
    return ids;
  };
  EXPECT_EQ(ids_of(true, false, false, "xyab"), (Ids{3, 3, 2}));
  EXPECT_EQ(ids_of(true, true, false, "xyabz"), (Ids{3, 2, 3}));
  EXPECT_EQ(ids_of(false, false, false, "xayb"), (Ids{2}));  // nothing remains between them
  EXPECT_EQ(ids_of(true, false, true, "\u00e9ab"), (Ids{4, 5, 2}));
  EXPECT_EQ(ids_of(true, false, true, "\u00e8"), (Ids{3}));  // a byte piece is missing
}

}  // namespace
}  // namespace tercet
