// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "formats/gguf.h"

namespace tercet {

// What a GGUF file says; tensors are views into the bytes given.
struct GgufContents {
  uint32_t version = 0;
  std::vector<std::pair<std::string, GgufValue>> metadata;
  std::vector<TensorView> tensors;
  std::map<std::string, size_t> metadata_index;
  std::map<std::string, size_t> tensor_index;
};

// Reads and checks a whole file, which may be one part of a model. `origin` names it in errors (see
// GgufFile).
GgufContents parse_gguf(std::span<const uint8_t> bytes, const std::string& origin);

}  // namespace tercet
