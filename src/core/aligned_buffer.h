// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tercet {

// Zeroed memory for weights and caches, aligned to kAlignment. A large buffer comes straight from
// the system, begins on a large page and asks for large pages, so that a pass over it misses the
// TLB seldom; its pages take memory only once they are written. Move-only.
class AlignedBuffer {
 public:
  static constexpr size_t kAlignment = 64;
  static constexpr size_t kLargePage = size_t{2} << 20;
  // From this size on a buffer is aligned to kLargePage.
  static constexpr size_t kLargeFrom = 2 * kLargePage;

  AlignedBuffer() = default;
  // Throws kIo naming the size when the system does not give that much.
  explicit AlignedBuffer(size_t bytes);
  ~AlignedBuffer();
  AlignedBuffer(AlignedBuffer&& other) noexcept;
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;

  uint8_t* data() { return data_; }
  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  std::span<uint8_t> bytes() { return {data_, size_}; }
  std::span<const uint8_t> bytes() const { return {data_, size_}; }

 private:
  void release() noexcept;

  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace tercet
