// SPDX-License-Identifier: Apache-2.0
#include "eval/token_bytes.h"

#include <string_view>

namespace tercet {
namespace {

int32_t text_bytes(const Piece& piece) {
  constexpr std::string_view kSpace = "\u2581";  // stands for one byte, ' '
  switch (piece.type) {
    case PieceType::kByte:
      return 1;
    case PieceType::kUnknown:
    case PieceType::kControl:
    case PieceType::kUnused:
      return 0;
    case PieceType::kNormal:
    case PieceType::kUserDefined:
      break;
  }
  size_t bytes = piece.text.size();
  for (size_t at = piece.text.find(kSpace); at != std::string::npos;
       at = piece.text.find(kSpace, at + kSpace.size())) {
    bytes -= kSpace.size() - 1;
  }
  return static_cast<int32_t>(bytes);
}

}  // namespace

std::vector<int32_t> token_bytes(const Tokenizer& tokenizer) {
  std::vector<int32_t> bytes;
  bytes.reserve(static_cast<size_t>(tokenizer.vocab_size()));
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    bytes.push_back(text_bytes(tokenizer.piece(id)));
  }
  return bytes;
}

}  // namespace tercet
