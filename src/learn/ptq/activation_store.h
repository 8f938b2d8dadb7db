// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <vector>

#include "learn/ptq/window_share.h"

namespace tercet::learn {

// Matrices of f32, one per window, that are read and replaced in turn; in memory, or in a file that
// vanishes with the process, however it ends. Move-only.
class ActivationStore {
 public:
  // rows: tokens of each window; width: floats per token. `spill` is the directory for the file;
  // empty: in memory. Only the windows of `share` have a place. Throws kIo when the file cannot be
  // made or the disk is full.
  ActivationStore(std::vector<int64_t> rows, int64_t width, const std::filesystem::path& spill,
                  const WindowShare& share = {});
  ~ActivationStore();
  ActivationStore(ActivationStore&& other) noexcept;
  ActivationStore& operator=(ActivationStore&&) = delete;

  // Whether it is one of those that have a place here.
  bool holds(size_t window) const { return share_.has(window); }
  int64_t owner(size_t window) const { return share_.owner(window); }

  // [rows, width]; put() or lend() first. It holds until the next put() of that window.
  at::Tensor get(size_t window) const;
  void put(size_t window, const at::Tensor& values);

  // Room for a window that another rank holds, until take_back().
  at::Tensor lend(size_t window);
  void take_back() { lent_.clear(); }

  static uint64_t bytes(const std::vector<int64_t>& rows, int64_t width);

 private:
  at::Tensor place(size_t window) const;

  std::vector<int64_t> rows_;
  std::vector<int64_t> offsets_;  // in floats
  int64_t floats_ = 0;
  int64_t width_;
  WindowShare share_;
  at::Tensor kept_;  // one piece: many that come and go would leave memory in splinters
  std::map<size_t, at::Tensor> lent_;
  int descriptor_ = -1;
};

}  // namespace tercet::learn
