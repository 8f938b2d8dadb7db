// SPDX-License-Identifier: Apache-2.0
#include "eval/runtime_scorer.h"

namespace tercet {

std::string RuntimeScorer::name() const { return engine_.model().path().string(); }

int64_t RuntimeScorer::vocab_size() const { return engine_.model().config().vocab_size; }

int64_t RuntimeScorer::context() const { return engine_.context(); }

int64_t RuntimeScorer::max_chunk() const { return Forward::kDefaultChunk; }

void RuntimeScorer::reset() { engine_.reset(); }

std::span<const float> RuntimeScorer::advance(std::span<const int32_t> tokens) {
  return engine_.advance(tokens, LogitsFor::kAll);
}

}  // namespace tercet
