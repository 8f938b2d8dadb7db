// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "learn/ptq/activation_store.h"
#include "learn/ptq/block.h"
#include "learn/ptq/block_inputs.h"
#include "learn/ptq/block_training.h"
#include "learn/ptq/layer_quantizer.h"
#include "learn/ptq/layer_report.h"
#include "learn/ptq/prediction_loss.h"
#include "learn/ptq/stage_clock.h"

namespace tercet::learn {

// The calibration windows on their way through the model: in full precision (f) and behind the
// quantized layers so far (q). Without cross terms only q exists.
struct CalibrationState {
  std::vector<int64_t> rows;              // tokens of each window, those of other ranks included
  size_t fit_windows = 0;                 // the rest is held out
  std::vector<ActivationStore> residual;  // q, then f
  std::vector<ActivationStore> inner;     // q, f: inputs of o; then q, f: inputs of down
  bool has_float() const { return residual.size() > 1; }
};

// Takes a block's linear maps to few bits, one input after the other: each sees what the maps
// before it, already quantized, make of the calibration text.
class BlockQuantizer {
 public:
  struct Settings {
    const ModelConfig* config = nullptr;
    const RotaryAngles* angles = nullptr;
    LayerOptions layer;
    BlockTrainingOptions training;
    const PredictionLoss* predictions = nullptr;  // for BlockLoss::kPredictions
    bool int8_inputs = false;
    at::ScalarType compute = at::kFloat;  // of products: in passes over all windows and in training
    at::ScalarType moments_compute = at::kFloat;
    // Which maps: by HF module name.
    std::function<bool(const std::string&)> chosen;
    Team team;  // the ranks that hold the other windows
    const std::atomic<bool>* stop = nullptr;
    StageClock* clock = nullptr;
    std::function<void(int64_t layer, int step, int steps, double loss)> progress;  // of training
  };
  BlockQuantizer(const Settings& settings, CalibrationState& state);

  // Replaces the chosen maps of `weights` by their quantized values (and trains the whole block if
  // settings.training has steps) and carries the state to the
  // next block. Throws kInterrupted when *stop becomes true, the state is then of no more use.
  std::vector<LayerReport> quantize(int64_t layer, BlockWeights& weights);
  // Trains a block that was trained before once more, from where its latent weights were left, and
  // carries the state on. `reports` are those of before, `sweep` counts from 1.
  void retrain(int64_t layer, BlockWeights original, int sweep, BlockWeights& weights,
               LatentWeights& latents, std::vector<LayerReport>& reports);
  // Of the block that was trained last.
  LatentWeights& latents() { return latents_; }
  // Carries the state through a block that is finished, to the same bits as the call that finished
  // it.
  void advance(int64_t layer, BlockWeights original, const BlockWeights& quantized);
  // Adds to the reports of a block whose weights have changed since the errors of its maps behind
  // the blocks before it as they are now, under the name of `stage`, and carries the state on.
  // share: of the windows, what is measured on.
  void measure(int64_t layer, BlockWeights original, const BlockWeights& quantized, double share,
               const char* stage, std::span<LayerReport> reports);

 private:
  struct Sides;  // the block in full precision and quantized
  enum class Step { kAttention, kOutput, kFeedForward, kDown, kDone };

  // What one window brings to the moments of an input: what enters its maps and, where these write
  // to the residual stream, that stream before them, q and f, and what each token counts for.
  struct Seen {
    std::vector<at::Tensor> inputs;
    std::vector<at::Tensor> residual;
    at::Tensor weights;
  };

  // Carries every window up to the input of the maps of `step`, which is gathered when `fit` is
  // given.
  void walk(Step step, const Sides& sides, Moments* fit, Moments* held_out);
  // One window on one side: returns the input of the maps of `step`, r becomes the stream before
  // what they write.
  at::Tensor carry(Step step, size_t window, size_t side, const Block& block, bool gathers,
                   at::Tensor& r);
  void gather(const Sides& sides, const std::vector<std::string>& maps, const Seen& seen,
              Moments& moments) const;
  void quantize_maps(const std::vector<std::string>& maps, Moments fit, const Moments& held_out,
                     const std::string& prefix, BlockWeights& weights,
                     std::vector<LayerReport>& reports) const;
  std::vector<std::string> chosen_maps(int64_t layer) const;
  std::vector<LayerReport> train(int64_t layer, BlockWeights& weights);
  std::map<std::string, LayerResult> starting_points(const std::string& prefix,
                                                     const BlockWeights& weights,
                                                     const std::array<Moments, 4>& moments) const;
  // It refers to `weights`.
  Block block_of(int64_t layer, const BlockWeights& weights,
                 std::vector<std::string> low_bit) const;
  BlockTrainingTask training_task(int64_t layer, int sweep) const;
  BlockTrainingReport train_maps(int64_t layer, int sweep, BlockWeights& weights,
                                 std::map<std::string, LayerResult>& results);
  std::vector<std::string> low_bit_maps(int64_t layer) const;
  std::vector<size_t> windows_here() const;
  std::array<Moments, 4> moments_of_inputs(const Block& block, double share) const;
  double error_of(int64_t layer, const std::string& map, const BlockWeights& original,
                  const BlockWeights& quantized, const std::array<Moments, 4>& moments) const;
  void equalize_inputs(int64_t layer, BlockWeights& weights) const;
  void pass_whole(size_t side, const Block& block);
  void check_stop() const;

  Settings settings_;
  CalibrationState& state_;
  LatentWeights latents_;
};

}  // namespace tercet::learn
