// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "core/error.h"
#include "formats/printable.h"

namespace tercet {

// Reads a byte string front to back; a read past the end is kBadInput naming the file and what was
// being read, and nothing is allocated for it.
class GgufCursor {
 public:
  GgufCursor(std::span<const uint8_t> bytes, std::string origin)
      : bytes_(bytes), origin_(std::move(origin)) {}

  const std::string& origin() const { return origin_; }
  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }

  // Fails unless `count` items of at least `item_bytes` each can still follow.
  void require(uint64_t count, uint64_t item_bytes, const std::string& what) const {
    if (count <= remaining() / item_bytes) return;
    fail(ErrorCode::kBadInput,
         "{}: {} at byte {} needs {} x {} bytes but {} remain; the file is cut or damaged", origin_,
         what, position_, count, item_bytes, remaining());
  }

  template <typename T>
  T read(const std::string& what) {
    require(1, sizeof(T), what);
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  std::string read_string(const std::string& what) {
    const uint64_t length = read<uint64_t>(what);
    require(length, 1, what);
    std::string out(length, '\0');
    if (length != 0) std::memcpy(out.data(), bytes_.data() + position_, length);
    position_ += length;
    return out;
  }

 private:
  std::span<const uint8_t> bytes_;
  std::string origin_;
  uint64_t position_ = 0;
};

}  // namespace tercet
