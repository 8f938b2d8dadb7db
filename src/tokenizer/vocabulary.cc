// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/vocabulary.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "core/error.h"
#include "tokenizer/utf8.h"

namespace tercet {
namespace {

std::optional<uint8_t> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<uint8_t>(c - '0');
  if (c >= 'A' && c <= 'F') return static_cast<uint8_t>(c - 'A' + 10);
  return std::nullopt;
}

// "<0xAB>", nothing else.
std::optional<uint8_t> parse_byte_piece(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  const auto high = hex_digit(text[3]);
  const auto low = hex_digit(text[4]);
  if (!high || !low) return std::nullopt;
  return static_cast<uint8_t>(*high * 16 + *low);
}

// Whether a space symbol follows another character.
bool has_inner_space(std::string_view text) {
  while (text.starts_with(kSpaceSymbol)) text.remove_prefix(kSpaceSymbol.size());
  return text.find(kSpaceSymbol) != std::string_view::npos;
}

}  // namespace

Vocabulary::Vocabulary(TokenizerSpec spec) : spec_(std::move(spec)) {
  byte_ids_.fill(-1);
  if (spec_.pieces.empty() || spec_.pieces.size() > INT32_MAX) {
    fail(ErrorCode::kBadInput, "'{}': a vocabulary of {} pieces is impossible", spec_.origin,
         spec_.pieces.size());
  }
  index_pieces();
  index_byte_pieces();
  check_special_ids();
}

void Vocabulary::index_pieces() {
  index_.reserve(spec_.pieces.size());
  for (int32_t id = 0; id < size(); ++id) {
    const Piece& entry = piece(id);
    if (std::isnan(entry.score)) {
      fail(ErrorCode::kBadInput, "'{}': the score of piece {} is not a number", spec_.origin, id);
    }
    const bool user_defined = entry.type == PieceType::kUserDefined;
    const bool unused = entry.type == PieceType::kUnused;
    if (entry.text.empty() || (entry.type != PieceType::kNormal && !user_defined && !unused)) {
      continue;
    }
    has_unused_ = has_unused_ || unused;
    // Of pieces with the same text the first counts; files padded to a round size have some.
    index_.emplace(entry.text, id);
    longest_piece_ = std::max(longest_piece_, entry.text.size());
    words_are_independent_ = words_are_independent_ && !has_inner_space(entry.text);
    if (user_defined) {
      user_defined_lengths_[static_cast<uint8_t>(entry.text[0])].push_back(entry.text.size());
    }
  }
  for (std::vector<size_t>& lengths : user_defined_lengths_) {
    std::sort(lengths.begin(), lengths.end(), std::greater<>());
    lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
  }
}

void Vocabulary::index_byte_pieces() {
  int found = 0;
  for (int32_t id = 0; id < size(); ++id) {
    if (piece(id).type != PieceType::kByte) continue;
    const auto byte = parse_byte_piece(piece(id).text);
    if (!byte || byte_ids_[*byte] >= 0) {
      fail(ErrorCode::kBadInput,
           "'{}': byte piece {} is malformed or given twice; <0x00> to <0xFF> are expected",
           spec_.origin, id);
    }
    byte_ids_[*byte] = id;
    ++found;
  }
  if (found != 0 && found != 256) {
    fail(ErrorCode::kBadInput, "'{}': {} byte pieces; there must be all 256 or none", spec_.origin,
         found);
  }
}

void Vocabulary::check_special_ids() const {
  const std::pair<const char*, int64_t> ids[] = {
      {"unknown", spec_.unknown_id}, {"BOS", spec_.bos_id}, {"EOS", spec_.eos_id}};
  for (const auto& [name, id] : ids) {
    if (id < -1 || id >= size()) {
      fail(ErrorCode::kBadInput, "'{}': the {} id {} is outside the vocabulary of {}", spec_.origin,
           name, id, size());
    }
  }
  if (!has_byte_pieces() && spec_.unknown_id < 0) {
    fail(ErrorCode::kBadInput,
         "'{}': neither byte pieces nor an unknown piece, so not every text can be encoded",
         spec_.origin);
  }
  if (spec_.add_bos && spec_.bos_id < 0) {
    fail(ErrorCode::kBadInput, "'{}': prompts are to start with BOS, but there is no BOS piece",
         spec_.origin);
  }
}

size_t Vocabulary::match_user_defined(std::string_view text) const {
  for (const size_t length : user_defined_lengths_[static_cast<uint8_t>(text[0])]) {
    if (length > text.size()) continue;
    const auto it = index_.find(text.substr(0, length));
    if (it != index_.end() && piece(it->second).type == PieceType::kUserDefined) return length;
  }
  return 0;
}

uint8_t Vocabulary::byte_of(int32_t id) const { return *parse_byte_piece(piece(id).text); }

}  // namespace tercet
