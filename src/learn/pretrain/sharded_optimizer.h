// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "learn/dist/sharded_parameters.h"
#include "learn/dist/team.h"
#include "learn/nn/transformer.h"
#include "learn/pretrain/optimizer.h"

namespace tercet {
class SafetensorsFile;
}

namespace tercet::learn {

// The optimizer of a model that a team trains: each rank keeps the moments of its share of the
// parameters and updates that (ZeRO stage 1). Alone it is Optimizer. All ranks make the same calls.
class ShardedOptimizer {
 public:
  // The parameters must outlive it.
  ShardedOptimizer(const std::vector<Parameter>& parameters, const Recipe& recipe, Team team);

  // Before the last backward pass of a step: the ranks' gradients are summed while it runs.
  void expect_gradients();
  // After it: this rank's part of the gradients' squared norm.
  double squared_norm();
  // As of Optimizer; `norm` is that over all ranks. After step() all ranks have the new values.
  void clip(double norm, double largest) { optimizer_->clip(norm, largest); }
  void step(const StepRates& rates);
  void skip();

  // Rank 0's parameters become those of all.
  void share_first_values();
  // The moments that this rank keeps.
  int64_t state_bytes() const;

  // Both moments of every parameter and the number of updates, as safetensors: the same file for
  // any number of ranks. Rank 0 reads and writes it, one part of a tensor at a time; on others
  // `file` means nothing. load() throws kBadInput naming file and tensor when they do not fit.
  void save(const std::filesystem::path& file) const;
  void load(const std::filesystem::path& file);

 private:
  // Elements of a parameter that one rank updates.
  struct Part {
    Piece piece;
    int64_t owner = 0;
    size_t slot = 0;  // at its owner
  };

  void add_parts();
  // `moment`: 0 for the first, 1 for the second.
  at::Tensor fetch(const Part& part, size_t moment) const;
  void spread(const Part& part, size_t moment, const SafetensorsFile* source);

  const std::vector<Parameter>& parameters_;
  Team team_;
  std::optional<ShardedParameters> sharded_;  // nothing when alone
  std::optional<Optimizer> optimizer_;
  std::vector<Part> parts_;  // in the order of parameters and elements
};

}  // namespace tercet::learn
