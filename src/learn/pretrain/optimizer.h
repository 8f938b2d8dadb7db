// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "learn/nn/transformer.h"
#include "learn/pretrain/schedule.h"

namespace tercet::learn {

// AdamW (Loshchilov and Hutter 2019) over a model's parameters: matrices decay, norm gains do not.
// One pass over memory on the CPU.
class Optimizer {
 public:
  Optimizer(const std::vector<Parameter>& parameters, const Recipe& recipe);

  // The joint norm of the gradients. The next step() uses them scaled so that it is at most
  // `largest` (0: as they are).
  double clip(double largest);
  // One update from the gradients, which are cleared.
  void step(const StepRates& rates);
  // Clears the gradients without an update.
  void skip();

  // Both moments of every parameter and the number of updates, as safetensors.
  void save(const std::filesystem::path& file) const;
  // Throws kBadInput naming file and tensor when they do not fit the parameters.
  void load(const std::filesystem::path& file);

 private:
  // A parameter and the moving means of its gradient and of the gradient's square.
  struct Slot {
    Parameter parameter;
    at::Tensor exp_avg;
    at::Tensor exp_avg_sq;
  };

  void clear_gradients();

  std::vector<Slot> slots_;
  double beta1_;
  double beta2_;
  double eps_;
  double gradient_scale_ = 1.0;
  int64_t updates_ = 0;
};

}  // namespace tercet::learn
