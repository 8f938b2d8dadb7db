// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/char_pairs.h"
#include "tokenizer/heap_merger.h"
#include "tokenizer/merge_table.h"
#include "tokenizer/token_index.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/word_cache.h"

namespace tercet {

// A BPE model as files describe it, before it is checked.
struct BpeSpec {
  std::string origin;  // for errors
  std::vector<Piece> pieces;
  // Texts of the halves, the first merging first.
  std::vector<std::pair<std::string, std::string>> merges;
  int32_t unknown_id = -1;
  bool byte_level = false;  // the pieces are written in byte_level_char()s; words are bytes
  bool byte_fallback =
      false;  // a character that is no piece becomes its <0xAB> pieces, if all exist
  bool fuse_unknown = false;   // a run of unknown characters becomes one unknown piece
  bool ignore_merges = false;  // a word that is a piece needs no merging
};

// Buffers of an encoder, kept from word to word.
struct BpeWorkspace {
  WordCache cache;
  std::vector<int32_t> ids;
  std::vector<MergeTable::Merge> merges;
  HeapMerger merger;
  std::string text;

  // Gives back what one huge word needed.
  void shrink() {
    constexpr size_t kKeep = 4096;
    if (ids.capacity() <= kKeep) return;
    ids = {};
    merges = {};
    merger.shrink();
    text = {};
  }
};

// Byte-pair encoding by ranked merges of pairs. Immutable.
class BpeModel {
 public:
  // Throws kBadInput naming the token or merge: duplicate tokens, merges of or into texts that are
  // no tokens.
  explicit BpeModel(BpeSpec spec);

  const std::string& origin() const { return origin_; }  // for errors
  const std::vector<Piece>& pieces() const { return pieces_; }
  int32_t unknown_id() const { return unknown_id_; }
  bool byte_level() const { return byte_level_; }
  bool byte_fallback() const { return byte_fallback_; }
  bool ignore_merges() const { return ignore_merges_; }
  // Whether every byte has a token, of its own or to fall back to.
  bool has_all_bytes() const;
  // Ids of the halves of each merge, in order of rank.
  const std::vector<std::pair<int32_t, int32_t>>& merges() const { return merges_; }
  const MergeTable& merge_table() const { return table_; }

  int32_t find(std::string_view text) const { return index_.find(pieces_, text); }

  // Appends the ids of one word: bytes for a byte-level model, else valid UTF-8. Not empty.
  void encode_word(std::string_view word, BpeWorkspace& workspace, std::vector<int32_t>& ids) const;
  // encode_word() of a whole text of any length as one word: in parts where no merge can reach
  // across, which gives the same ids sooner.
  void encode_long(std::string_view text, BpeWorkspace& workspace, std::vector<int32_t>& ids) const;

 private:
  void index_pieces();
  void read_merges(const std::vector<std::pair<std::string, std::string>>& merges);
  void index_bytes();
  void index_char_pairs();
  void encode_uncached(std::string_view word, BpeWorkspace& workspace,
                       std::vector<int32_t>& ids) const;
  int32_t find_word(std::string_view word, BpeWorkspace& workspace) const;
  void split_into_pieces(std::string_view word, BpeWorkspace& workspace) const;
  void split_into_characters(std::string_view word, BpeWorkspace& workspace) const;
  bool split_into_bytes(std::string_view character, std::vector<int32_t>& ids) const;
  void merge_few(BpeWorkspace& workspace) const;

  std::string origin_;
  std::vector<Piece> pieces_;
  TokenIndex index_;
  MergeTable table_;
  std::vector<std::pair<int32_t, int32_t>> merges_;
  CharPairs pairs_;  // that some merge can join; filled when the parts of encode_long are words
  std::array<int32_t, 256> byte_ids_{};   // of bytes: as words (byte level) or as fallback
  std::array<int32_t, 128> ascii_ids_{};  // of single characters
  size_t longest_piece_ = 0;
  int32_t unknown_id_ = -1;
  bool byte_level_ = false;
  bool byte_fallback_ = false;
  bool fuse_unknown_ = false;
  bool ignore_merges_ = false;
  bool splits_long_ = false;
};

}  // namespace tercet
