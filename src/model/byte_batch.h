// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

namespace tercet {

// Gathers many small pieces of bytes into few large ones.
class ByteBatch {
 public:
  explicit ByteBatch(std::function<void(std::span<const uint8_t>)> sink) : sink_(std::move(sink)) {
    waiting_.reserve(kBatch);
  }

  void add(std::span<const uint8_t> bytes) {
    total_ += bytes.size();
    if (waiting_.size() + bytes.size() > kBatch) flush();
    if (bytes.size() > kBatch) return sink_(bytes);
    waiting_.insert(waiting_.end(), bytes.begin(), bytes.end());
  }

  void flush() {
    if (!waiting_.empty()) sink_(waiting_);
    waiting_.clear();
  }

  // Bytes added so far.
  uint64_t total() const { return total_; }

 private:
  static constexpr size_t kBatch = size_t{1} << 20;

  std::function<void(std::span<const uint8_t>)> sink_;
  std::vector<uint8_t> waiting_;
  uint64_t total_ = 0;
};

}  // namespace tercet
