// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace tercet::learn {

// Adam (betas 0.9 and 0.95, no weight decay) over tensors that require gradients, each with a
// learning rate of its own.
class Adam {
 public:
  void add(const at::Tensor& parameter, double rate);
  // One step; every rate is multiplied by `factor`. Gradients are used up.
  void step(double factor);

 private:
  struct Slot {
    at::Tensor parameter, mean, square;
    double rate;
  };
  std::vector<Slot> slots_;
  int64_t steps_ = 0;
};

}  // namespace tercet::learn
