// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tercet::learn {

StepRates rates_at(const Recipe& recipe, int64_t step) {
  const double done = static_cast<double>(step) / static_cast<double>(recipe.steps);
  const bool second_half = 2 * step >= recipe.steps;
  const double span = recipe.learning_rate - recipe.min_learning_rate;
  StepRates rates{recipe.learning_rate, recipe.weight_decay};
  if (recipe.schedule == "two-stage") {
    rates.learning_rate =
        (second_half ? recipe.learning_rate_2 : recipe.learning_rate) * (1 - done);
    if (second_half) rates.weight_decay = recipe.weight_decay_2;
  } else if (recipe.schedule == "cosine") {
    const double half_cosine = 0.5 * (1 + std::cos(std::numbers::pi * done));
    rates.learning_rate = recipe.min_learning_rate + span * half_cosine;
  } else if (recipe.schedule == "linear") {
    rates.learning_rate = recipe.min_learning_rate + span * (1 - done);
  }
  if (step < recipe.warmup_steps) {
    const double warm =
        static_cast<double>(step + 1) / static_cast<double>(recipe.warmup_steps + 1);
    rates.learning_rate *= warm;
  }
  return rates;
}

double quantized_share_at(const Recipe& recipe, int64_t step) {
  const int64_t since = step - recipe.lambda_start_step;
  if (since < 0) return 0.0;
  if (since >= recipe.lambda_warmup_steps) return 1.0;
  return static_cast<double>(since) / static_cast<double>(recipe.lambda_warmup_steps);
}

}  // namespace tercet::learn
