// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "learn/nn/transformer.h"
#include "learn/pretrain/schedule.h"

namespace tercet::learn {

// AdamW (Loshchilov and Hutter 2019) over parameters, or parts of them: matrices decay, norm gains
// do not. One pass over memory on the CPU.
class Optimizer {
 public:
  // A parameter and the moving means of its gradient and of the gradient's square.
  struct Slot {
    Parameter parameter;
    at::Tensor exp_avg;
    at::Tensor exp_avg_sq;
  };

  Optimizer(const std::vector<Parameter>& parameters, const Recipe& recipe);

  // The sum of the gradients' squares.
  double squared_norm() const;
  // The next step() uses the gradients scaled so that what is `norm` now, the joint norm of these
  // and others, is at most `largest` (0: as they are).
  void clip(double norm, double largest);
  // One update from the gradients, which are cleared.
  void step(const StepRates& rates);
  // Clears the gradients without an update.
  void skip();

  // What a checkpoint keeps: the moments of every parameter, in their order, and the number of
  // updates so far.
  const std::vector<Slot>& slots() const { return slots_; }
  int64_t updates() const { return updates_; }
  void set_updates(int64_t updates) { updates_ = updates; }

 private:
  void clear_gradients();

  std::vector<Slot> slots_;
  double beta1_;
  double beta2_;
  double eps_;
  double gradient_scale_ = 1.0;
  int64_t updates_ = 0;
};

}  // namespace tercet::learn
