// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "formats/support.h"

namespace tercet::testing {

// Spells out a GGUF file byte by byte, independently of GgufWriter.
class RawGguf {
 public:
  static std::string header(uint64_t tensors, uint64_t metadata, uint32_t version = 3) {
    std::string out = "GGUF";
    append(out, version);
    append(out, tensors);
    append(out, metadata);
    return out;
  }
  static std::string text(const std::string& value) {
    std::string out;
    append<uint64_t>(out, value.size());
    return out + value;
  }
  template <typename T>
  static std::string entry(const std::string& key, uint32_t type, T value) {
    std::string out = text(key);
    append(out, type);
    append(out, value);
    return out;
  }
  // dims innermost first, as in the file.
  static std::string tensor(const std::string& name, const std::vector<uint64_t>& dims,
                            uint32_t type, uint64_t offset) {
    std::string out = text(name);
    append<uint32_t>(out, static_cast<uint32_t>(dims.size()));
    for (const uint64_t extent : dims) append(out, extent);
    append(out, type);
    append(out, offset);
    return out;
  }
  static std::string padded(std::string out, size_t alignment = 32) {
    out.resize((out.size() + alignment - 1) / alignment * alignment);
    return out;
  }
};

}  // namespace tercet::testing
