// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/loss_guard.h"

#include <algorithm>
#include <cmath>

namespace tercet::learn {
namespace {

// Nats; a run whose losses hardly scatter is not stopped by a small one.
constexpr double kSmallestSpike = 0.1;

}  // namespace

bool LossGuard::is_spike(double loss) const {
  if (deviations_ <= 0 || state_.seen < kFirst) return false;
  return loss > state_.mean + std::max(kSmallestSpike, deviations_ * std::sqrt(state_.variance));
}

void LossGuard::accept(int64_t step, double loss) {
  ++state_.seen;
  const double weight = 1.0 / static_cast<double>(std::min(state_.seen, kMemory));
  state_.mean += weight * (loss - state_.mean);
  if (state_.seen > 1) {
    // Half the mean square of differences is the variance of independent losses.
    const double difference = loss - state_.previous;
    state_.variance += weight * (difference * difference / 2 - state_.variance);
  }
  state_.previous = loss;
  state_.bad_in_row = 0;
  state_.broken_in_row = 0;
  state_.last_good = step;
}

void LossGuard::forget() {
  state_.seen = 0;
  state_.mean = state_.variance = 0;
}

LossGuard::Verdict LossGuard::judge(int64_t step, double loss, double grad_norm) {
  const bool finite = std::isfinite(loss) && std::isfinite(grad_norm);
  if (finite && !is_spike(loss)) {
    accept(step, loss);
    return Verdict::kUse;
  }
  ++state_.bad_in_row;
  state_.broken_in_row = finite ? 0 : state_.broken_in_row + 1;
  if (state_.broken_in_row >= kMostInRow) return Verdict::kGiveUp;
  if (!finite || state_.bad_in_row < kMostInRow) {
    ++state_.skipped;
    return Verdict::kSkip;
  }
  forget();
  accept(step, loss);
  return Verdict::kUse;
}

}  // namespace tercet::learn
