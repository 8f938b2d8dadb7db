// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace tercet::learn {

// Decides after each forward and backward pass whether its gradients may be used. A step is bad
// when its loss or gradient norm is not finite, or when its loss lies further above the recent ones
// than they scatter: a moving mean over about kMemory steps, and the variance that neighbouring
// losses show, which a falling loss does not widen.
class LossGuard {
 public:
  static constexpr int64_t kMemory = 50;
  static constexpr int64_t kFirst = 20;  // steps before spikes are judged
  static constexpr int64_t kMostInRow =
      5;  // bad steps, then something is wrong with more than data

  // What a checkpoint keeps.
  struct State {
    double mean = 0;
    double variance = 0;
    double previous = 0;  // the newest loss that was used
    int64_t seen = 0;
    int64_t bad_in_row = 0;
    int64_t broken_in_row = 0;  // of them, at the end: not finite
    int64_t skipped = 0;        // since the run began
    int64_t last_good = 0;      // step, 1-based; 0: none
  };

  enum class Verdict {
    kUse,
    kSkip,
    kGiveUp,  // kMostInRow in a row were not finite: the weights are broken
  };

  // deviations: how far above the mean a loss is a spike; 0: only what is not finite is bad.
  explicit LossGuard(double deviations) : deviations_(deviations) {}

  // `step`: 1-based. Losses that stay high for kMostInRow steps are the new level and used.
  Verdict judge(int64_t step, double loss, double grad_norm);

  // Judges no spikes until it has seen kFirst steps again: what is trained has changed.
  void forget();

  const State& state() const { return state_; }
  void restore(const State& state) { state_ = state; }

 private:
  bool is_spike(double loss) const;
  void accept(int64_t step, double loss);

  double deviations_;
  State state_;
};

}  // namespace tercet::learn
