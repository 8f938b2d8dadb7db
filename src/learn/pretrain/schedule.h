// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "learn/pretrain/recipe.h"

namespace tercet::learn {

// Learning rate and weight decay of one optimizer step.
struct StepRates {
  double learning_rate = 0;
  double weight_decay = 0;
};

// Rates of step `step` in [0, recipe.steps) of a resolved recipe. Linear warm-up from 0 to the
// schedule's value, then, with f the fraction of the run that is done:
//   two-stage  learning_rate (1 - f), from the middle on learning_rate_2 (1 - f), and weight_decay,
//              from the middle on weight_decay_2 (BitNet b1.58 training tips, methods.md 2.2)
//   cosine     from learning_rate to min_learning_rate by half a cosine
//   linear     the same by a line
//   constant   learning_rate
StepRates rates_at(const Recipe& recipe, int64_t step);

// How far low-bit maps are quantized in a step: 0 before lambda_start_step, 1 from
// lambda_warmup_steps later on, a line between (fading_linear(), methods.md 19).
double quantized_share_at(const Recipe& recipe, int64_t step);

}  // namespace tercet::learn
