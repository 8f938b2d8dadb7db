// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "core/aligned_buffer.h"
#include "formats/model_config.h"
#include "kernels/panel.h"
#include "kernels/panel_source.h"
#include "packing/ternary.h"

namespace tercet::learn {

// Low-bit weights that share an input, one below the other, as the products of a training step take
// them: packed for the runtime's integer kernels, and as numbers for the backward product.
// Immutable; an autograd node may keep it.
class CodeMatrix : public torch::CustomClassHolder {
 public:
  // weights: [out_i, in] f32 on the CPU. `backward` is the type of the numbers, of which there are
  // none without with_backward.
  CodeMatrix(const std::vector<at::Tensor>& weights, LinearKind kind, at::ScalarType backward,
             bool with_backward);

  int64_t rows() const { return rows_; }
  // [rows, in] of -1, 0 and 1, in the type of the backward product; may be undefined.
  const at::Tensor& numbers() const { return numbers_; }
  // What the codes of each row are multiplied by: [rows] f32.
  at::Tensor scales() const { return scales_.narrow(0, 0, rows_); }

  // out[t, r] = sum_c q[t, c] code[r, c] * (scale[r] / q_scale[t]); the sum is exact.
  // q: [tokens, in] int8, q_scale: [tokens] f32, out: [tokens, rows] f32, all contiguous.
  void multiply(const at::Tensor& q, const at::Tensor& q_scale, const at::Tensor& out) const;

 private:
  void pack(packing::Layout layout, const at::Tensor& codes);
  // Tokens [first, last), at most as many as are arranged at once.
  void multiply_tiles(const at::Tensor& q, const at::Tensor& q_scale, const at::Tensor& out,
                      int64_t first, int64_t last) const;
  // `call` holds all that a tile of tokens decides.
  void multiply_panels(PanelCall& call, int64_t first, int64_t count) const;

  int64_t rows_ = 0;
  int64_t cols_ = 0;
  PanelSource source_;
  PanelShape shape_;
  AlignedBuffer panels_;
  at::Tensor scales_;  // padded to whole panels
  at::Tensor numbers_;
};

// The codes of a contiguous weight on the CPU, as many as it has elements, and the scale that they
// share.
float quantize_weight(const at::Tensor& weight, LinearKind kind, int8_t* codes);

// int8 codes as numbers of another type.
at::Tensor numbers_of(const at::Tensor& codes, at::ScalarType type);

// The codes of weights, made again only when a weight has changed: once per optimizer step, however
// many micro-batches it has. A change is what autograd counts as one (Tensor::_version).
class CodeCache {
 public:
  c10::intrusive_ptr<CodeMatrix> of(const std::vector<at::Tensor>& weights, LinearKind kind,
                                    at::ScalarType compute, bool with_backward);

 private:
  struct Entry {
    std::vector<uint32_t> versions;
    c10::intrusive_ptr<CodeMatrix> codes;
  };
  std::unordered_map<const c10::TensorImpl*, Entry> entries_;  // by the first weight
};

}  // namespace tercet::learn
