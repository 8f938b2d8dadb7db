// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace tercet {

// What a tokenizer file says, before it is checked.
struct TokenizerSpec {
  std::string origin;  // file name for errors
  std::vector<Piece> pieces;
  int64_t unknown_id = -1;  // -1 for none, here and below
  int64_t bos_id = -1;
  int64_t eos_id = -1;
  int64_t padding_id = -1;
  bool add_bos = false;
  bool add_eos = false;                   // behind prompts
  std::vector<int32_t> other_ends;        // beside EOS: of turns and messages
  bool add_dummy_prefix = true;           // a space is put before the text
  bool remove_extra_whitespaces = false;  // runs of spaces become one, outer ones vanish
};

// Bytes of a user-defined or control piece at most: they are looked for at every place of a text.
inline constexpr size_t kMaxUserDefinedBytes = 256;

// The checked, indexed piece table. Immutable. Not copyable: the index points into the pieces.
class Vocabulary {
 public:
  // Throws kBadInput naming the file and the piece: ids out of range, NaN scores, malformed or
  // missing byte pieces. kUnsupported for user-defined and control pieces above
  // kMaxUserDefinedBytes.
  explicit Vocabulary(TokenizerSpec spec);
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  const TokenizerSpec& spec() const { return spec_; }
  int32_t size() const { return static_cast<int32_t>(spec_.pieces.size()); }
  const Piece& piece(int32_t id) const { return spec_.pieces[static_cast<size_t>(id)]; }

  // The piece that merging may produce (normal, user-defined or unused) with this text, or -1.
  int32_t find(std::string_view text) const {
    if (text.size() > longest_piece_) return -1;
    const auto it = index_.find(text);
    return it == index_.end() ? -1 : it->second;
  }
  // Bytes of the longest user-defined piece that `text`, not empty, starts with; 0 when there is
  // none. Takes O(kMaxUserDefinedBytes * log(pieces)) at worst.
  size_t match_user_defined(std::string_view text) const;

  // The control, unknown or user-defined piece with exactly this text, or -1.
  int32_t find_special(std::string_view text) const {
    const auto it = special_.find(text);
    return it == special_.end() ? -1 : it->second;
  }
  // The control or unknown piece that `text` starts with, the longest of several; -1 for none.
  int32_t match_control(std::string_view text) const;

  bool has_byte_pieces() const { return byte_ids_[0] >= 0; }
  int32_t byte_id(uint8_t byte) const { return byte_ids_[byte]; }
  // The byte that a byte piece stands for.
  uint8_t byte_of(int32_t id) const;

  // Whether no piece has a space symbol after another character, so that no merge reaches across
  // the beginning of a word.
  bool words_are_independent() const { return words_are_independent_; }
  bool has_unused() const { return has_unused_; }

 private:
  struct UserDefined {
    std::string_view text;
    int64_t prefix;  // the longest other one that `text` starts with, -1 for none
  };

  void index_pieces();
  void index_special();
  void index_user_defined();
  void index_byte_pieces();
  void check_special_ids() const;

  TokenizerSpec spec_;
  std::unordered_map<std::string_view, int32_t> index_;
  std::unordered_map<std::string_view, int32_t> special_;  // by text
  std::array<bool, 256> starts_control_{};
  size_t longest_control_ = 0;
  std::vector<UserDefined> user_defined_;  // sorted by text
  std::array<bool, 256> starts_user_defined_{};
  std::array<int32_t, 256> byte_ids_{};
  size_t longest_piece_ = 0;
  bool words_are_independent_ = true;
  bool has_unused_ = false;
};

}  // namespace tercet
