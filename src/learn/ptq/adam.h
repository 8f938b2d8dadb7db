// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace tercet::learn {

// Adam (betas 0.9 and 0.95, no weight decay) over tensors that require gradients, each with a
// learning rate of its own.
class Adam {
 public:
  void add(const at::Tensor& parameter, double rate);
  // One step; every rate is multiplied by `factor`. Gradients are used up.
  void step(double factor);

  // What goes on from where this one is: parameters, means and squares, in the order of add().
  std::vector<at::Tensor> state() const;
  // Takes such a state, of the same parameters after so many steps.
  void restore(const std::vector<at::Tensor>& state, int64_t steps);

 private:
  struct Slot {
    at::Tensor parameter, mean, square;
    double rate;
  };
  std::vector<Slot> slots_;
  int64_t steps_ = 0;
};

}  // namespace tercet::learn
