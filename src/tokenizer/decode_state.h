// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>

namespace tercet {

// What decoding must remember from token to token.
struct DecodeState {
  bool at_text_start = true;  // no token has given text yet
  uint32_t stripped = 0;      // characters removed from the text's start

  static DecodeState inside_text() { return {false, std::numeric_limits<uint32_t>::max()}; }
};

}  // namespace tercet
