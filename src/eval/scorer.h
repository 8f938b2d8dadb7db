// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace tercet {

// A language model as evaluation sees it, whatever computes it: token ids in, logits out. One text
// at a time, fed in chunks, so that the logits of a whole window never have to lie in memory.
class Scorer {
 public:
  virtual ~Scorer() = default;

  virtual std::string name() const = 0;  // for messages, e.g. the model's file
  virtual int64_t vocab_size() const = 0;
  // Most tokens between two reset() calls.
  virtual int64_t context() const = 0;
  // Most tokens of one advance() call; context() for a model without a KV cache.
  virtual int64_t max_chunk() const = 0;

  // Forgets all tokens.
  virtual void reset() = 0;

  // Appends `tokens` (1 to max_chunk() ids below vocab_size()) and returns logits [tokens, vocab]:
  // row i scores what follows tokens[i]. Valid until the next call. Throws kUsage when the context
  // is exceeded.
  virtual std::span<const float> advance(std::span<const int32_t> tokens) = 0;
};

}  // namespace tercet
