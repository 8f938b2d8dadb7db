// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/rng.h"

namespace tercet {

// How the next token is chosen. The defaults leave the model's distribution as it is.
struct SamplerOptions {
  double temperature = 1.0;  // 0: greedy, the other fields are then without effect
  int64_t top_k = 0;         // keep the k most probable tokens; 0: all
  double top_p = 1.0;        // keep the fewest tokens that hold this much probability; 1: all
  double min_p = 0.0;        // keep tokens at least this probable relative to the best; 0: all
  uint64_t seed = 0;

  // Throws kUsage naming the command line option and its range.
  void validate() const;
};

// Chooses tokens. The filters work on the model's own probabilities, in the order top-k, top-p
// (over what top-k left), min-p; the temperature then flattens or sharpens what is left. Tokens of
// equal logit rank by id, the lower first. Equal logits, options and seed give equal tokens on
// every platform: only IEEE operations are used, no library functions.
class Sampler {
 public:
  // Throws kUsage like SamplerOptions::validate.
  explicit Sampler(const SamplerOptions& options);

  // The next token given logits: [vocab_size]. Throws kBadInput when they hold a NaN or no finite
  // number, which a damaged model file causes.
  int32_t sample(std::span<const float> logits);

 private:
  struct Candidate {
    int32_t id;
    float logit;
    double weight;  // probability relative to the best token's
  };

  void keep_top();
  int32_t draw(float best_logit);

  SamplerOptions options_;
  Rng rng_;
  std::vector<Candidate> candidates_;  // kept between calls to save the allocation
};

// The token of the highest logit, the lowest id among equals. Throws like Sampler::sample.
int32_t greedy_token(std::span<const float> logits);

}  // namespace tercet
