// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "eval/scorer.h"

namespace tercet {

// The protocol. The text's tokens are cut into windows of `context` positions that begin `stride`
// tokens apart; each window is scored from an empty context, with BOS in front when `bos_id` is
// given (BOS takes one position and is not scored). In the first window every token that has a
// predecessor counts, in later ones those that no earlier window covered. So without BOS the first
// token of each non-overlapping window is context only; with a stride below the context every token
// but the first is scored once, with at least `context - stride` tokens before it.
struct PerplexityOptions {
  int64_t context = 0;       // positions per window, BOS included; 0: the scorer's
  int64_t stride = 0;        // 0: as many tokens as a window holds (no overlap)
  int64_t limit_tokens = 0;  // use only this many tokens of the text; 0: all
  int32_t bos_id = -1;       // -1: no BOS
  // Bytes of text behind each token id, [vocab_size]; empty: bits_per_byte is not computed.
  std::span<const int32_t> token_bytes;

  const std::atomic<bool>* stop = nullptr;  // throws kInterrupted when it becomes true
  // Called after each chunk: tokens scored, tokens to score, mean NLL so far.
  std::function<void(int64_t done, int64_t total, double mean_nll)> progress;
};

struct PerplexityResult {
  int64_t tokens = 0;  // scored
  int64_t windows = 0;
  int64_t stride = 0;            // tokens between windows, as used
  double mean_nll = 0;           // nats per token
  double mean_nll_stderr = 0;    // its standard error, tokens taken as independent; 0 for one token
  double perplexity = 0;         // exp(mean_nll)
  double perplexity_stderr = 0;  // first order: perplexity * mean_nll_stderr
  std::optional<double> bits_per_byte;  // total NLL / ln 2 / bytes of the scored tokens

  // Only with a reference model.
  std::optional<double> kl_divergence_mean;  // mean KL(reference || model), nats per token
  std::optional<double> top1_agreement;      // share of positions where both rank the same first
};

// Throws kUsage when the options contradict each other or the scorer; kBadInput when the text has
// no token to score or ids outside the vocabulary, or the model's logits are not finite.
PerplexityResult measure_perplexity(Scorer& model, std::span<const int32_t> tokens,
                                    const PerplexityOptions& options);

// The same, position by position beside `reference`, which must have the same vocabulary.
PerplexityResult compare_models(Scorer& model, Scorer& reference, std::span<const int32_t> tokens,
                                const PerplexityOptions& options);

}  // namespace tercet
