// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/vocabulary.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/error.h"
#include "tokenizer/byte_piece.h"
#include "tokenizer/utf8.h"

namespace tercet {
namespace {

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
  index_special();
  index_user_defined();
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
  }
}

void Vocabulary::index_special() {
  for (int32_t id = 0; id < size(); ++id) {
    const Piece& entry = piece(id);
    const bool control = entry.type == PieceType::kControl || entry.type == PieceType::kUnknown;
    if (entry.text.empty() || (!control && entry.type != PieceType::kUserDefined)) continue;
    special_.emplace(entry.text, id);
    if (!control) continue;
    if (entry.text.size() > kMaxUserDefinedBytes) {
      fail(ErrorCode::kUnsupported, "'{}': control piece {} has {} bytes; at most {} work",
           spec_.origin, id, entry.text.size(), kMaxUserDefinedBytes);
    }
    starts_control_[static_cast<uint8_t>(entry.text[0])] = true;
    longest_control_ = std::max(longest_control_, entry.text.size());
  }
}

int32_t Vocabulary::match_control(std::string_view text) const {
  if (text.empty() || !starts_control_[static_cast<uint8_t>(text[0])]) return -1;
  for (size_t length = std::min(longest_control_, text.size()); length > 0; --length) {
    const int32_t id = find_special(text.substr(0, length));
    if (id >= 0 && piece(id).type != PieceType::kUserDefined) return id;
  }
  return -1;
}

void Vocabulary::index_user_defined() {
  for (int32_t id = 0; id < size(); ++id) {
    const std::string& text = piece(id).text;
    if (piece(id).type != PieceType::kUserDefined || find(text) != id) continue;
    if (text.size() > kMaxUserDefinedBytes) {
      fail(ErrorCode::kUnsupported, "'{}': user-defined piece {} has {} bytes; at most {} work",
           spec_.origin, id, text.size(), kMaxUserDefinedBytes);
    }
    user_defined_.push_back({text, -1});
    starts_user_defined_[static_cast<uint8_t>(text[0])] = true;
  }
  std::sort(user_defined_.begin(), user_defined_.end(),
            [](const UserDefined& a, const UserDefined& b) { return a.text < b.text; });
  // A piece follows all its prefixes, and between them lie only texts with the same prefix.
  for (size_t i = 1; i < user_defined_.size(); ++i) {
    auto prefix = static_cast<int64_t>(i) - 1;
    while (prefix >= 0 &&
           !user_defined_[i].text.starts_with(user_defined_[static_cast<size_t>(prefix)].text)) {
      prefix = user_defined_[static_cast<size_t>(prefix)].prefix;
    }
    user_defined_[i].prefix = prefix;
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
  if (!starts_user_defined_[static_cast<uint8_t>(text[0])]) return 0;
  // The last piece not after `text` in order, or one of its prefixes, is the longest that matches.
  const auto after = std::upper_bound(
      user_defined_.begin(), user_defined_.end(), text,
      [](std::string_view wanted, const UserDefined& entry) { return wanted < entry.text; });
  if (after == user_defined_.begin()) return 0;
  auto best = static_cast<int64_t>(after - user_defined_.begin()) - 1;
  const std::string_view nearest = user_defined_[static_cast<size_t>(best)].text;
  const auto differs = std::mismatch(nearest.begin(), nearest.end(), text.begin(), text.end());
  const auto common = static_cast<size_t>(differs.first - nearest.begin());
  while (best >= 0 && user_defined_[static_cast<size_t>(best)].text.size() > common) {
    best = user_defined_[static_cast<size_t>(best)].prefix;
  }
  return best < 0 ? 0 : user_defined_[static_cast<size_t>(best)].text.size();
}

uint8_t Vocabulary::byte_of(int32_t id) const { return *parse_byte_piece(piece(id).text); }

}  // namespace tercet
