// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "formats/hf_model.h"
#include "learn/dist/team.h"
#include "learn/ptq/stored_matrix.h"
#include "learn/ptq/windows.h"

namespace tercet::learn {

// What a quantized model says beside its source, over the same windows.
struct EvaluationReport {
  int64_t tokens = 0;             // scored
  double source_nll = 0;          // mean, nats per token
  double mean_nll = 0;            // of the quantized model
  double kl_divergence_mean = 0;  // KL(source || quantized), nats per token
  double top1_agreement = 0;      // share of positions where both rank the same token first
  double perplexity() const;
  double source_perplexity() const;
};

struct EvaluationRequest {
  const HfModel* source = nullptr;
  const HfModel* quantized = nullptr;
  std::function<bool(const std::string&)> int8_inputs;  // which maps of the quantized model
  RestTypes rest;                                       // of the quantized model
  const Windows* windows = nullptr;
  Team team;            // the ranks that score other windows, which the report counts as well
  uint64_t memory = 0;  // bytes for activations; windows are taken in turns that fit
  const std::atomic<bool>* stop = nullptr;
  std::function<void(int64_t done, int64_t total)> progress;  // blocks passed
};

// Runs both models block by block, one block's weights in memory at a time. Every token with a
// predecessor in its window is scored. Throws kInterrupted when *stop becomes true.
EvaluationReport evaluate_beside(const EvaluationRequest& request);

}  // namespace tercet::learn
