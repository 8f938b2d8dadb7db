// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "learn/nn/transformer.h"
#include "learn/pretrain/schedule.h"

namespace tercet::learn {

// libtorch's AdamW over a model's parameters: matrices decay, norm gains do not. The parameters
// must outlive it.
class Optimizer {
 public:
  Optimizer(const std::vector<Parameter>& parameters, const Recipe& recipe);
  ~Optimizer();

  // Scales the gradients so that their joint norm is at most `largest` (0: leaves them) and returns
  // the norm before.
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
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tercet::learn
