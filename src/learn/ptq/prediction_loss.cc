// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/prediction_loss.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "core/error.h"

namespace tercet::learn {

ActivationStore source_streams(const HfModel& model, const RotaryAngles& angles,
                               const Windows& windows, const std::filesystem::path& spill,
                               const std::atomic<bool>* stop, const WindowShare& share) {
  const at::NoGradGuard no_gradients;
  const ModelConfig& config = model.config();
  std::vector<int64_t> rows;
  for (const auto& window : windows) rows.push_back(std::ssize(window));
  ActivationStore out(rows, config.hidden_size, spill, share);
  for (size_t i = 0; i < windows.size(); ++i) {
    if (out.holds(i)) out.put(i, embedded(model, windows[i]));
  }
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    const BlockWeights weights = load_block(model, layer);
    const Block block(config, layer, weights, angles, {});
    for (size_t i = 0; i < windows.size(); ++i) {
      if (!out.holds(i)) continue;
      if (stop != nullptr && *stop) {
        fail(ErrorCode::kInterrupted,
             "interrupted on the way through the source; --resume continues");
      }
      out.put(i, block.whole(out.get(i)));
    }
  }
  return out;
}

PredictionLoss::PredictionLoss(const HfModel& source, std::optional<DType> head_type,
                               const RotaryAngles& angles, ActivationStore& streams,
                               at::ScalarType compute)
    : config_(source.config()),
      angles_(angles),
      streams_(streams),
      compute_(compute),
      source_head_(source, std::nullopt, compute),
      head_(source, head_type, compute),
      low_bit_(static_cast<size_t>(config_.num_hidden_layers)) {
  for (int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
    blocks_.push_back(load_block(source, layer));
  }
}

void PredictionLoss::replace(int64_t layer, const BlockWeights& weights,
                             std::vector<std::string> low_bit) {
  blocks_[static_cast<size_t>(layer)] = weights;
  low_bit_[static_cast<size_t>(layer)] = std::move(low_bit);
}

at::Tensor PredictionLoss::operator()(int64_t layer, size_t window, at::Tensor r) const {
  for (size_t next = static_cast<size_t>(layer) + 1; next < blocks_.size(); ++next) {
    r = Block(config_, static_cast<int64_t>(next), blocks_[next], angles_, low_bit_[next], compute_)
            .whole(r);
  }
  return divergence(source_head_, streams_.get(window), head_, r);
}

}  // namespace tercet::learn
