// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/decode_state.h"

namespace tercet {

// How the texts of tokens become bytes of text, as the `decoder` of a tokenizer.json says. Token by
// token, so that a stream can be decoded. Immutable.
struct Decoder {
  struct Replacement {
    std::string from;
    std::string to;
  };
  enum class StepKind { kReplace, kMetaspace, kByteFallback, kByteLevel, kStrip };
  struct Step {
    StepKind kind = StepKind::kReplace;
    Replacement replacement;   // kReplace; `from` alone of kMetaspace and kStrip
    bool drops_first = false;  // kMetaspace: the first token loses its spaces
    uint32_t left = 0;         // kStrip: characters at most, from either end
    uint32_t right = 0;
  };

  std::vector<Step> steps;  // on every token by itself
  Step text_strip;          // after Fuse: on the beginning of the whole text
  std::string separator;    // between tokens: a space where a file has no decoder

  // Appends the bytes that the token `text` gives.
  void append(std::string_view text, DecodeState& state, std::string& out) const;
};

}  // namespace tercet
