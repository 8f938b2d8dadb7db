// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "formats/tensor.h"

namespace tercet {

// What a safetensors file says; tensors are views into the bytes given, in the order of their data.
struct SafetensorsContents {
  std::vector<TensorView> tensors;
  std::map<std::string, size_t> index;  // of tensors, by name
  std::map<std::string, std::string> metadata;
};

// Reads and checks a whole file. `origin` names it in errors (see SafetensorsFile).
SafetensorsContents parse_safetensors(std::span<const uint8_t> bytes, const std::string& origin);

}  // namespace tercet
