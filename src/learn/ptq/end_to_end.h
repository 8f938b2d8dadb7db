// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "formats/hf_model.h"
#include "learn/dist/team.h"
#include "learn/ptq/activation_store.h"
#include "learn/ptq/block.h"
#include "learn/ptq/low_bit_matrix.h"
#include "learn/ptq/stored_matrix.h"
#include "learn/ptq/windows.h"

namespace tercet::learn {

// The last pass over a quantized model: codes stay, scales and norm gains are trained against the
// full-precision model's predictions, KL(source || quantized). The model is in memory.
struct EndToEndOptions {
  int steps = 0;                // 0: none
  int64_t tokens_per_step = 0;  // windows are drawn until they have so many; 0: open
  double rate = 5e-3;           // of logarithms of scales, and of norm gains
};

struct EndToEndReport {
  double first_loss = 0;  // nats per token, mean of the first tenth of the steps
  double last_loss = 0;   // of the last tenth
};

// Where the pass is after some steps; with it a pass goes on to the same bits.
struct EndToEndState {
  int steps = 0;
  EndToEndReport report;              // sums so far
  std::vector<at::Tensor> optimizer;  // Adam::state()
};

struct EndToEndTask {
  const HfModel* source = nullptr;
  Grouping grouping;
  std::function<bool(const std::string&)> chosen;  // HF modules that are ternary
  bool int8_inputs = false;
  at::ScalarType compute = at::kFloat;  // the type of matrix products
  RestTypes rest;                       // of the quantized model
  const Windows* windows = nullptr;
  ActivationStore* streams = nullptr;  // the source's, behind its last block, for these windows
  Team team;                           // the ranks that share the windows of a step
  const std::atomic<bool>* stop = nullptr;
  std::function<void(int64_t done, int64_t total, double loss)> progress;
  std::optional<EndToEndState> begin;              // goes on from there
  std::function<void(const EndToEndState&)> save;  // now and then, and when *stop becomes true
};

// Trains `blocks` (one entry per layer, ternary values multiplied out as they are stored) and the
// final norm in place. Afterwards every value is one that the files hold exactly. Throws
// kInterrupted when *stop becomes true and kBadInput when the loss is not finite; `blocks` are then
// of no more use.
EndToEndReport train_end_to_end(const EndToEndTask& task, const EndToEndOptions& options,
                                std::vector<BlockWeights>& blocks, at::Tensor& final_norm);

// The codes and scales of values that were multiplied out: each group's magnitude and signs.
LowBitMatrix codes_of(const at::Tensor& values, const Grouping& grouping);

}  // namespace tercet::learn
