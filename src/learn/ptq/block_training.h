// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "learn/ptq/block.h"
#include "learn/ptq/low_bit_matrix.h"

namespace tercet::learn {

// Soft-to-hard reconstruction of one block (methods.md 16 and 25): what the quantized block makes
// of its input should be what the full-precision block makes of its own.
struct BlockTrainingOptions {
  int steps = 0;  // 0: none
  int windows_per_step = 8;
  double latent_rate = 2e-2;  // of weights over their scale
  double scale_rate = 3e-3;   // of logarithms of scales, and of norm gains
  double sharpest = 30;       // of the tanh, reached after 80 % of the steps; then codes are hard
};

// [tanh(k (w - 1/2)) + tanh(k (w + 1/2))] / (2 tanh k): w itself for small k, the ternary code of w
// for large ones.
at::Tensor soft_ternary(const at::Tensor& w, double sharpness);

// The nearest of -1, 0 and 1; gradients pass as if it were w.
at::Tensor hard_ternary(const at::Tensor& w);

struct BlockTrainingTask {
  const ModelConfig* config = nullptr;
  const RotaryAngles* angles = nullptr;
  int64_t layer = 0;
  std::vector<std::string> low_bit;  // maps whose inputs are rounded to int8
  size_t windows = 0;
  std::function<at::Tensor(size_t)> input;   // residual stream before the quantized block
  std::function<at::Tensor(size_t)> target;  // behind the full-precision block
  const std::atomic<bool>* stop = nullptr;
};

// What a training did: mean squared error over the mean square of the targets.
struct BlockTrainingReport {
  double first_loss = 0;  // mean of the first tenth of the steps
  double last_loss = 0;   // of the last tenth, with hard codes
};

// Trains codes and scales of `maps` (by map name, e.g. "mlp.up_proj"; one ternary matrix each,
// without shifts) and the norms of `weights`, starting at the weights and the maps' scales. The
// windows come in an order that follows from layer and step alone. Afterwards `weights` holds the
// maps' values as they will be stored and the trained norms. Throws kInterrupted when *stop becomes
// true.
BlockTrainingReport train_block(const BlockTrainingTask& task, const BlockTrainingOptions& options,
                                BlockWeights& weights, std::map<std::string, LowBitMatrix>& maps);

}  // namespace tercet::learn
