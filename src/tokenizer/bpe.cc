// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/bpe.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "tokenizer/utf8.h"

namespace tercet {
namespace {

// Words are looked up in a cache only in texts of this length: setting it up must pay.
constexpr size_t kCacheFromBytes = 1024;
constexpr size_t kMaxCachedWords = size_t{1} << 16;

// Encodes one stretch of text after another, keeping its buffers.
class Merger {
 public:
  explicit Merger(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  // Appends the ids of `text`, which holds no user-defined piece.
  void encode(std::string_view text, std::vector<int32_t>& ids) {
    text_ = text;
    split_into_characters();
    for (size_t i = 1; i < symbols_.size(); ++i) propose(static_cast<int64_t>(i) - 1);
    while (!agenda_.empty()) merge_best();
    for (int64_t at = 0; at != kNone; at = symbols_[static_cast<size_t>(at)].next) {
      emit(view(symbols_[static_cast<size_t>(at)]), ids);
    }
  }

 private:
  static constexpr int64_t kNone = -1;

  struct Symbol {
    size_t begin = 0;
    size_t length = 0;  // 0: merged into its left neighbour
    int64_t previous = kNone;
    int64_t next = kNone;
  };
  struct Candidate {
    float score = 0;
    int64_t left = 0;
    int64_t right = 0;
    size_t length = 0;  // of both together when proposed; tells stale candidates
    bool operator<(const Candidate& other) const {
      return score != other.score ? score < other.score : left > other.left;
    }
  };

  std::string_view view(const Symbol& symbol) const {
    return text_.substr(symbol.begin, symbol.length);
  }

  void split_into_characters() {
    symbols_.clear();
    unmerged_.clear();
    for (size_t begin = 0; begin < text_.size();) {
      const Utf8Prefix prefix = utf8_prefix(text_.substr(begin));
      const size_t length = prefix.kind == Utf8Prefix::Kind::kCharacter ? prefix.length : 1;
      const auto index = static_cast<int64_t>(symbols_.size());
      symbols_.push_back({begin, length, index - 1, index + 1});
      begin += length;
    }
    symbols_.back().next = kNone;
  }

  // Puts the pair that starts at `left` on the agenda when it is a piece.
  void propose(int64_t left) {
    const Symbol& first = symbols_[static_cast<size_t>(left)];
    const int64_t right = first.next;
    const size_t length = first.length + symbols_[static_cast<size_t>(right)].length;
    const std::string_view text = text_.substr(first.begin, length);
    const int32_t id = vocabulary_.find(text);
    if (id < 0) return;
    agenda_.push_back({vocabulary_.piece(id).score, left, right, length});
    std::push_heap(agenda_.begin(), agenda_.end());
    if (vocabulary_.has_unused() && vocabulary_.piece(id).type == PieceType::kUnused) {
      unmerged_[text] = first.length;
    }
  }

  void merge_best() {
    std::pop_heap(agenda_.begin(), agenda_.end());
    const Candidate best = agenda_.back();
    agenda_.pop_back();
    Symbol& left = symbols_[static_cast<size_t>(best.left)];
    Symbol& right = symbols_[static_cast<size_t>(best.right)];
    if (left.length == 0 || right.length == 0 || left.length + right.length != best.length) return;
    left.length += right.length;
    right.length = 0;
    left.next = right.next;
    if (left.next != kNone) {
      symbols_[static_cast<size_t>(left.next)].previous = best.left;
      propose(best.left);
    }
    if (left.previous != kNone) propose(left.previous);
  }

  // Unused pieces serve as steps to longer ones only; where one remains it is taken apart again.
  void emit(std::string_view text, std::vector<int32_t>& ids) const {
    std::vector<std::string_view> waiting = {text};
    while (!waiting.empty()) {
      const std::string_view part = waiting.back();
      waiting.pop_back();
      const int32_t id = vocabulary_.find(part);
      const bool unused = id >= 0 && vocabulary_.piece(id).type == PieceType::kUnused;
      const auto split = unused ? unmerged_.find(part) : unmerged_.end();
      if (split == unmerged_.end()) {
        emit_whole(part, id, ids);
      } else {
        waiting.push_back(part.substr(split->second));
        waiting.push_back(part.substr(0, split->second));
      }
    }
  }

  void emit_whole(std::string_view text, int32_t id, std::vector<int32_t>& ids) const {
    const int32_t unknown = static_cast<int32_t>(vocabulary_.spec().unknown_id);
    if (id >= 0) {
      ids.push_back(id);
    } else if (vocabulary_.has_byte_pieces()) {
      for (const char c : text) ids.push_back(vocabulary_.byte_id(static_cast<uint8_t>(c)));
    } else if (ids.empty() || ids.back() != unknown) {
      ids.push_back(unknown);  // one for a run of unknown characters
    }
  }

  const Vocabulary& vocabulary_;
  std::string_view text_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> agenda_;                          // a heap
  std::unordered_map<std::string_view, size_t> unmerged_;  // unused pieces: length of the left part
};

// Encodes a text stretch by stretch: user-defined pieces stand alone, and where no piece reaches
// across the beginning of a word each word is encoded once.
class TextEncoder {
 public:
  TextEncoder(const Vocabulary& vocabulary, std::string_view text)
      : vocabulary_(vocabulary),
        merger_(vocabulary),
        by_words_(vocabulary.words_are_independent()),
        // Runs of unknown characters join across words when there are no byte pieces.
        caching_(by_words_ && vocabulary.has_byte_pieces() && text.size() >= kCacheFromBytes) {}

  std::vector<int32_t> run(std::string_view text) {
    size_t begin = 0;  // of the stretch that has not been encoded
    bool space_before = true;
    for (size_t at = 0; at < text.size();) {
      const size_t matched = vocabulary_.match_user_defined(text.substr(at));
      const bool space = text.substr(at).starts_with(kSpaceSymbol);
      if (matched != 0 || (by_words_ && space && !space_before)) {
        encode_stretch(text.substr(begin, at - begin));
        begin = at;
      }
      if (matched != 0) {
        ids_.push_back(vocabulary_.find(text.substr(at, matched)));
        begin = at + matched;
      }
      space_before = space && matched == 0;
      at += matched != 0 ? matched : character_length(text.substr(at));
    }
    encode_stretch(text.substr(begin));
    return std::move(ids_);
  }

 private:
  static size_t character_length(std::string_view text) {
    const Utf8Prefix prefix = utf8_prefix(text);
    return prefix.kind == Utf8Prefix::Kind::kCharacter ? prefix.length : 1;
  }

  void encode_stretch(std::string_view text) {
    if (text.empty()) return;
    if (!caching_) return merger_.encode(text, ids_);
    const auto known = cache_.find(text);
    const size_t begin = ids_.size();
    if (known != cache_.end()) {
      const auto [source, count] = known->second;
      for (size_t i = 0; i < count; ++i) ids_.push_back(ids_[source + i]);
      return;
    }
    merger_.encode(text, ids_);
    if (cache_.size() < kMaxCachedWords) cache_[text] = {begin, ids_.size() - begin};
  }

  const Vocabulary& vocabulary_;
  Merger merger_;
  bool by_words_;
  bool caching_;
  std::vector<int32_t> ids_;
  std::unordered_map<std::string_view, std::pair<size_t, size_t>> cache_;  // places in ids_
};

}  // namespace

std::vector<int32_t> bpe_encode(const Vocabulary& vocabulary, std::string_view text) {
  return TextEncoder(vocabulary, text).run(text);
}

}  // namespace tercet
