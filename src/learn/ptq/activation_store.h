// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <vector>

namespace tercet::learn {

// Matrices of f32, one per window, that are read and replaced in turn; in memory, or in a file that
// vanishes with the process, however it ends. Move-only.
class ActivationStore {
 public:
  // rows: tokens of each window; width: floats per token. `spill` is the directory for the file;
  // empty: in memory. Throws kIo when the file cannot be made or the disk is full.
  ActivationStore(std::vector<int64_t> rows, int64_t width, const std::filesystem::path& spill);
  ~ActivationStore();
  ActivationStore(ActivationStore&& other) noexcept;
  ActivationStore& operator=(ActivationStore&&) = delete;

  // [rows, width]; put() first.
  at::Tensor get(size_t window) const;
  void put(size_t window, const at::Tensor& values);

  static uint64_t bytes(const std::vector<int64_t>& rows, int64_t width);

 private:
  std::vector<int64_t> rows_;
  std::vector<int64_t> offsets_;
  int64_t width_;
  std::vector<at::Tensor> kept_;
  int descriptor_ = -1;
};

}  // namespace tercet::learn
