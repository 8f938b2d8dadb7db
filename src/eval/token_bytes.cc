// SPDX-License-Identifier: Apache-2.0
#include "eval/token_bytes.h"

namespace tercet {

std::vector<int32_t> token_bytes(const Tokenizer& tokenizer) {
  std::vector<int32_t> bytes;
  bytes.reserve(static_cast<size_t>(tokenizer.vocab_size()));
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    bytes.push_back(static_cast<int32_t>(tokenizer.piece_bytes(id).size()));
  }
  return bytes;
}

}  // namespace tercet
