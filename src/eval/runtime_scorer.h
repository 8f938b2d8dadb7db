// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "eval/scorer.h"
#include "runtime/engine.h"

namespace tercet {

// The runtime's own models as a Scorer. The engine must outlive it and belongs to it meanwhile.
class RuntimeScorer : public Scorer {
 public:
  explicit RuntimeScorer(Engine& engine) : engine_(engine) {}

  std::string name() const override;
  int64_t vocab_size() const override;
  int64_t context() const override;
  int64_t max_chunk() const override;
  void reset() override;
  std::span<const float> advance(std::span<const int32_t> tokens) override;

 private:
  Engine& engine_;
};

}  // namespace tercet
