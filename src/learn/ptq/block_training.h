// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "learn/dist/team.h"
#include "learn/ptq/block.h"
#include "learn/ptq/low_bit_matrix.h"

namespace tercet::learn {

// What a block is trained towards: what the full-precision block makes of its own input, or what
// the full-precision model predicts, seen through the blocks behind.
enum class BlockLoss { kAuto, kOutput, kPredictions };
const char* to_string(BlockLoss loss);  // "auto", "output", "predictions"

// Steps and sweeps that follow from the model's size.
inline constexpr int kAuto = -1;

// Soft-to-hard reconstruction of one block at a time.
struct BlockTrainingOptions {
  int steps = 0;                // 0: none
  int64_t tokens_per_step = 0;  // windows are drawn until they have so many; 0: open
  BlockLoss loss = BlockLoss::kAuto;
  int sweeps = kAuto;         // more rounds over all blocks, each seen through the trained others
  double latent_rate = 1e-2;  // of weights over their scale
  double scale_rate = 3e-3;   // of logarithms of scales, and of norm gains
  double softest = 0;         // sharpness of the tanh at first
  double sharpest = 30;       // and after 80 % of the steps; then codes are hard
};

struct BlockTrainingTask {
  const ModelConfig* config = nullptr;
  const RotaryAngles* angles = nullptr;
  int64_t layer = 0;
  std::vector<std::string> low_bit;         // maps whose inputs are rounded to int8
  at::ScalarType compute = at::kFloat;      // the type of matrix products
  uint64_t seed = 0;                        // of the windows' order
  std::vector<int64_t> rows;                // tokens of each window
  std::function<at::Tensor(size_t)> input;  // residual stream before the quantized block
  // What is wrong with the residual stream behind it, summed, and what that is divided by.
  std::function<at::Tensor(size_t, const at::Tensor&)> loss;
  std::function<double(size_t)> size;
  Team team;  // the ranks that share the windows of a step
  // Those of the drawn windows that this rank works on, as of take_windows().
  std::function<std::vector<size_t>(const std::vector<size_t>& drawn)> take;
  const std::atomic<bool>* stop = nullptr;
  std::function<void(int done, int steps, double loss)> progress;
};

// Weights over their scale by map name, as training moves them.
using LatentWeights = std::map<std::string, at::Tensor>;

struct BlockTrainingReport {
  double first_loss = 0;  // mean of the first tenth of the steps
  double last_loss = 0;   // of the last tenth, with hard codes
};

// Trains codes and scales of `maps` (by map name, e.g. "mlp.up_proj"; one ternary matrix each,
// without shifts) and the norms of `weights`. Starts at `latents` (of an earlier training), or,
// where that is empty, at the weights over the maps' scales. The windows come in an order that
// follows from the seed alone. Afterwards `weights` holds the maps' values as they will be stored
// and the trained norms, `latents` where training ended; the same bits on all ranks. Throws
// kInterrupted when *stop becomes true.
BlockTrainingReport train_block(const BlockTrainingTask& task, const BlockTrainingOptions& options,
                                BlockWeights& weights, std::map<std::string, LowBitMatrix>& maps,
                                LatentWeights& latents);

}  // namespace tercet::learn
