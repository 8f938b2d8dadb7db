// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "core/error.h"

// What every target defines: takes any bytes, aborts on a fault. Called by libFuzzer with new
// inputs, and by replay_main.cc with those of fuzz/corpus/.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace tercet::fuzz {

inline std::string_view text_of(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A property that holds for whatever the input is.
inline void require(bool holds, const char* property) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", property);
  std::abort();
}

// Whether `part` is empty or lies in `whole`.
inline bool lies_in(std::span<const uint8_t> part, std::span<const uint8_t> whole) {
  if (part.empty()) return true;
  return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

// Runs `action`, which either succeeds or refuses the input as a parser may: bad input or
// unsupported, in one line. Every other exception ends the program.
template <typename Action>
void accept_or_refuse(Action action) {
  try {
    action();
  } catch (const Error& error) {
    const bool blames_input =
        error.code() == ErrorCode::kBadInput || error.code() == ErrorCode::kUnsupported;
    if (!blames_input) std::fprintf(stderr, "refused with: %s\n", error.what());
    require(blames_input, "an input is refused as bad or unsupported, nothing else");
    const std::string_view message = error.what();
    require(message.find('\n') == std::string_view::npos, "an error is one line");
    require(message.size() < 1000, "an error is short");
  }
}

}  // namespace tercet::fuzz
