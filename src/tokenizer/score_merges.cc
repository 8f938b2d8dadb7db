// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/score_merges.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "core/error.h"
#include "formats/printable.h"
#include "tokenizer/utf8.h"

namespace tercet {
namespace {

constexpr size_t kMaxPieceBytes = 512;

struct Merge {
  int32_t left = -1;
  int32_t right = -1;
  int32_t joined = -1;
  float score = 0;
  size_t left_bytes = 0;
};

// The best score first. Among equals SentencePiece takes the leftmost pair, and what stands further
// left has been merged already and is longer.
bool merges_before(const Merge& a, const Merge& b) {
  return std::tuple(-a.score, b.left_bytes, a.joined) <
         std::tuple(-b.score, a.left_bytes, b.joined);
}

class MergeCollector {
 public:
  explicit MergeCollector(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  std::vector<std::pair<int32_t, int32_t>> run() {
    for (int32_t id = 0; id < vocabulary_.size(); ++id) add_splits(id);
    std::stable_sort(merges_.begin(), merges_.end(), merges_before);
    check_equal_scores();
    std::vector<std::pair<int32_t, int32_t>> out;
    out.reserve(merges_.size());
    for (const Merge& merge : merges_) out.emplace_back(merge.left, merge.right);
    return out;
  }

 private:
  // What stands between two merges: a piece, or a character that is none.
  struct Symbol {
    int32_t id = -1;
    std::string_view text;
  };

  std::string shown(int32_t id) const { return printable(vocabulary_.piece(id).text); }

  // Nothing where encoding never has this text as a symbol. User-defined pieces are cut out of the
  // text before anything is merged.
  std::optional<Symbol> symbol_of(std::string_view text) const {
    const int32_t id = vocabulary_.find(text);
    if (id < 0 && utf8_prefix(text).length != text.size()) return std::nullopt;
    if (id >= 0 && vocabulary_.piece(id).type == PieceType::kUserDefined) return std::nullopt;
    return Symbol{id, text};
  }

  // Every way in which two symbols give the piece.
  void add_splits(int32_t id) {
    const Piece& piece = vocabulary_.piece(id);
    if (piece.type != PieceType::kNormal && piece.type != PieceType::kUnused) return;
    const std::string_view text = piece.text;
    // Every place is tried: longer ones would take too long.
    if (text.size() > kMaxPieceBytes) {
      fail(ErrorCode::kUnsupported, "{}: the piece {} has {} bytes; at most {} work",
           vocabulary_.spec().origin, id, text.size(), kMaxPieceBytes);
    }
    for (size_t at = 0; at < text.size();) {
      at += utf8_prefix(text.substr(at)).length;
      if (at == text.size()) return;
      const auto left = symbol_of(text.substr(0, at));
      const auto right = symbol_of(text.substr(at));
      if (left && right) add(*left, *right, id);
    }
  }

  void add(const Symbol& left, const Symbol& right, int32_t joined) {
    if (vocabulary_.piece(joined).type == PieceType::kUnused) {
      fail(ErrorCode::kUnsupported,
           "{}: the unused piece {} ('{}') is a step of merging, which a tokenizer.json cannot say",
           vocabulary_.spec().origin, joined, shown(joined));
    }
    for (const Symbol& half : {left, right}) {
      if (half.id >= 0) continue;
      fail(
          ErrorCode::kUnsupported,
          "{}: the piece {} ('{}') joins '{}', which is no piece; a tokenizer.json cannot say that",
          vocabulary_.spec().origin, joined, shown(joined), printable(half.text));
    }
    merges_.push_back(
        {left.id, right.id, joined, vocabulary_.piece(joined).score, left.text.size()});
  }

  bool is_run(int32_t id) const {
    const std::string_view text = vocabulary_.piece(id).text;
    const size_t length = utf8_prefix(text).length;
    return text.substr(length) == text.substr(0, text.size() - length);
  }

  // Where two pieces of one score compete for the symbol between them, SentencePiece takes the left
  // pair whichever that is; ranks always prefer the same. Runs of one character are in order:
  // merged from the left, their symbols get shorter to the right.
  void check_equal_scores() const {
    std::unordered_map<int32_t, std::vector<const Merge*>> by_left;
    for (size_t begin = 0; begin < merges_.size();) {
      size_t end = begin;
      while (end < merges_.size() && merges_[end].score == merges_[begin].score) ++end;
      by_left.clear();
      // Those that come first: they must not stand to the right of one that comes after.
      for (size_t at = begin; at < end; ++at) {
        const auto competitors = by_left.find(merges_[at].right);
        if (competitors != by_left.end()) check_competitors(merges_[at], competitors->second);
        by_left[merges_[at].left].push_back(&merges_[at]);
      }
      begin = end;
    }
  }

  void check_competitors(const Merge& merge, const std::vector<const Merge*>& earlier) const {
    for (const Merge* other : earlier) {
      if (other->joined == merge.joined || (is_run(other->joined) && is_run(merge.joined))) {
        continue;
      }
      fail(ErrorCode::kUnsupported,
           "{}: the pieces {} ('{}') and {} ('{}') have the same score, so which of them merges "
           "first depends on the text; that is not written as a tokenizer.json",
           vocabulary_.spec().origin, merge.joined, shown(merge.joined), other->joined,
           shown(other->joined));
    }
  }

  const Vocabulary& vocabulary_;
  std::vector<Merge> merges_;
};

}  // namespace

std::vector<std::pair<int32_t, int32_t>> merges_from_scores(const Vocabulary& vocabulary) {
  return MergeCollector(vocabulary).run();
}

}  // namespace tercet
