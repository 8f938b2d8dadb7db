// SPDX-License-Identifier: Apache-2.0
#include "runtime/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/error.h"

namespace tercet {
namespace {

// e^x for x <= 0 by IEEE operations alone (reduction by ln 2, then a power series), because the C
// library's exp() differs between platforms in the last bit. Relative error below 1e-15.
double portable_exp(double x) {
  if (x < -700.0) return 0.0;
  constexpr double kLog2E = 1.4426950408889634;
  constexpr double kLn2High = 0.693147180369123816490;  // trailing bits zero: n * kLn2High is exact
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  const double n = std::floor(x * kLog2E + 0.5);
  const double r = (x - n * kLn2High) - n * kLn2Low;  // |r| <= ln(2) / 2
  double sum = 1.0;
  for (int term = 14; term >= 1; --term) sum = 1.0 + sum * r / term;
  const auto exponent = static_cast<uint64_t>(static_cast<int64_t>(n) + 1023);
  return sum * std::bit_cast<double>(exponent << 52);
}

}  // namespace

void SamplerOptions::validate() const {
  // Written so that NaN fails.
  if (!(temperature >= 0.0 && temperature <= 100.0)) {
    fail(ErrorCode::kUsage, "--temp is {}, it must be between 0 and 100", temperature);
  }
  if (top_k < 0) fail(ErrorCode::kUsage, "--top-k is {}, it must be 0 (all) or more", top_k);
  if (!(top_p > 0.0 && top_p <= 1.0)) {
    fail(ErrorCode::kUsage, "--top-p is {}, it must be above 0 and at most 1", top_p);
  }
  if (!(min_p >= 0.0 && min_p <= 1.0)) {
    fail(ErrorCode::kUsage, "--min-p is {}, it must be between 0 and 1", min_p);
  }
}

int32_t greedy_token(std::span<const float> logits) {
  int64_t best = -1;
  for (int64_t id = 0; id < std::ssize(logits); ++id) {
    if (std::isnan(logits[id])) {
      fail(ErrorCode::kBadInput,
           "the model's logit of token {} is not a number; its file is probably damaged", id);
    }
    if (best < 0 || logits[id] > logits[best]) best = id;
  }
  if (best < 0 || !std::isfinite(logits[best])) {
    fail(ErrorCode::kBadInput,
         "the model's logits hold no finite number; its file is probably damaged");
  }
  return static_cast<int32_t>(best);
}

Sampler::Sampler(const SamplerOptions& options) : options_(options), rng_(options.seed) {
  options_.validate();
}

int32_t Sampler::sample(std::span<const float> logits) {
  const int32_t best = greedy_token(logits);
  if (options_.temperature == 0.0) return best;
  const float best_logit = logits[best];
  candidates_.clear();
  candidates_.reserve(logits.size());
  for (int64_t id = 0; id < std::ssize(logits); ++id) {
    const double weight = portable_exp(double{logits[id]} - double{best_logit});
    candidates_.push_back({static_cast<int32_t>(id), logits[id], weight});
  }
  keep_top();
  if (options_.min_p > 0.0) {
    std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < options_.min_p; });
  }
  return draw(best_logit);
}

// Applies top-k and top-p. A heap gives the best tokens one by one, since few of a large vocabulary
// are usually kept.
void Sampler::keep_top() {
  const bool all_k = options_.top_k == 0 || options_.top_k >= std::ssize(candidates_);
  if (all_k && options_.top_p >= 1.0) return;
  const auto worse = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit < b.logit : a.id > b.id;
  };
  if (!all_k) {
    const auto end = candidates_.begin() + options_.top_k;
    std::nth_element(candidates_.begin(), end, candidates_.end(),
                     [&](const Candidate& a, const Candidate& b) { return worse(b, a); });
    candidates_.erase(end, candidates_.end());
  }
  // Ids in order, so that the sum does not depend on how the library partitions.
  std::sort(candidates_.begin(), candidates_.end(),
            [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
  if (options_.top_p >= 1.0) return;
  double total = 0.0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  std::make_heap(candidates_.begin(), candidates_.end(), worse);
  double kept = 0.0;
  auto end = candidates_.end();
  while (end != candidates_.begin() && kept < options_.top_p * total) {
    std::pop_heap(candidates_.begin(), end, worse);
    --end;
    kept += end->weight;
  }
  candidates_.erase(candidates_.begin(), end);
  // pop_heap left the best last.
  std::reverse(candidates_.begin(), candidates_.end());
}

int32_t Sampler::draw(float best_logit) {
  double total = 0.0;
  for (Candidate& candidate : candidates_) {
    const double distance = double{candidate.logit} - double{best_logit};
    candidate.weight = portable_exp(distance / options_.temperature);
    total += candidate.weight;
  }
  double left = rng_.uniform() * total;
  for (const Candidate& candidate : candidates_) {
    left -= candidate.weight;
    if (left < 0.0) return candidate.id;
  }
  // Rounding can leave a sliver behind the last token: it belongs to the last one that has weight.
  const auto last = std::find_if(candidates_.rbegin(), candidates_.rend(),
                                 [](const Candidate& c) { return c.weight > 0.0; });
  return last->id;
}

}  // namespace tercet
