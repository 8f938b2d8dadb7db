// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace tercet::cli {

// Whether a model can run in the memory there is. All sizes in bytes.
struct MemoryQuestion {
  uint64_t weights = 0;
  uint64_t per_token = 0;  // keys and values
  int64_t context = 0;     // tokens; 0: the weights alone
  uint64_t available = 0;  // 0: not known, which counts as enough
};

struct MemoryVerdict {
  bool fits = true;
  uint64_t needed = 0;          // weights, keys and values, and scratch memory
  int64_t fitting_context = 0;  // the longest context that fits, at most the one asked for; 0: none
  std::string sentence;         // one line for people, e.g. "does not fit: ...; try --ctx 4096"
};

MemoryVerdict judge_memory(const MemoryQuestion& question);

}  // namespace tercet::cli
