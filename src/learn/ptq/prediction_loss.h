// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <string>
#include <vector>

#include "formats/hf_model.h"
#include "learn/ptq/activation_store.h"
#include "learn/ptq/block.h"
#include "learn/ptq/head.h"
#include "learn/ptq/windows.h"

namespace tercet::learn {

// Carries the windows of `share` through all blocks of `model` in full precision, one block in
// memory at a time. The residual streams behind the last block. Throws kInterrupted when *stop
// becomes true.
ActivationStore source_streams(const HfModel& model, const RotaryAngles& angles,
                               const Windows& windows, const std::filesystem::path& spill,
                               const std::atomic<bool>* stop, const WindowShare& share = {});

// How far the predictions that follow from a block's output are from those of the full-precision
// model: the block is seen through those behind it, in full precision until they are replaced.
class PredictionLoss {
 public:
  // head_type: of the quantized model's head. streams: of source_streams(). Loads all blocks.
  // compute: the type of matrix products.
  PredictionLoss(const HfModel& source, std::optional<DType> head_type, const RotaryAngles& angles,
                 ActivationStore& streams, at::ScalarType compute);

  // From now on the block is the given one; inputs of the maps in `low_bit` are rounded to int8.
  void replace(int64_t layer, const BlockWeights& weights, std::vector<std::string> low_bit);

  // r: the residual stream behind block `layer`, [tokens, hidden_size]. KL(source || this), summed
  // over positions.
  at::Tensor operator()(int64_t layer, size_t window, at::Tensor r) const;

  ActivationStore& streams() const { return streams_; }

 private:
  const ModelConfig& config_;
  const RotaryAngles& angles_;
  ActivationStore& streams_;
  at::ScalarType compute_;
  ModelHead source_head_;
  ModelHead head_;
  std::vector<BlockWeights> blocks_;
  std::vector<std::vector<std::string>> low_bit_;
};

}  // namespace tercet::learn
