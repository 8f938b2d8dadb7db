// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "learn/data/dataset.h"
#include "learn/dist/team.h"
#include "learn/nn/transformer.h"

namespace tercet::learn {

// Mean cross entropy of the first `max_tokens` targets of a split, in non-overlapping windows of
// `sequence_length`, each token predicted from those before it in its window, with `document_end`
// from those of its document.
struct ValidationLoss {
  double mean_nll = 0;  // nats per token
  uint64_t tokens = 0;
};
struct EvalOptions {
  int64_t sequence_length = 0;
  int64_t micro_batch_size = 1;
  int64_t max_tokens = 0;
  std::optional<int32_t> document_end;  // the EOS id, for attention within documents
};
// Throws kBadInput / kUsage when the split or `max_tokens` hold less than one window.
void check_validation_split(const TokenDataset& split, int64_t sequence_length, int64_t max_tokens);
// Each rank of the team computes its share of the windows; all have the result.
ValidationLoss validation_loss(const Transformer& model, const TokenDataset& split,
                               const EvalOptions& options, const ForwardMode& mode,
                               const std::atomic<bool>* stop, Team team = {});

// Continues `prompt` (ids) by `count` tokens: temperature 0.8, top-k 40, by `seed`; stops at `eos`.
std::vector<int32_t> sample_tokens(const Transformer& model, std::vector<int32_t> prompt,
                                   int64_t count, int32_t eos, uint64_t seed,
                                   at::ScalarType compute);

// Best rate of a square matrix product of this type on this device, in GFLOP/s: what the training
// step is compared with. Takes at most a second.
double measured_gemm_gflops(at::ScalarType compute, at::Device device);

// Floating-point operations of forward and backward per token: 6 per weight of the linear maps and
// of the head, and causal attention's products over half the square of the sequence.
double flops_per_token(const ModelConfig& config, int64_t sequence_length);

}  // namespace tercet::learn
