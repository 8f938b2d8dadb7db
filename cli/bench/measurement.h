// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernel_table.h"
#include "machine/memory_read.h"
#include "model/model.h"
#include "model/packed_head.h"
#include "model/token_cost.h"

namespace tercet::cli {

// Of the values of all repetitions.
struct Spread {
  double median = 0;
  double min = 0;
  double max = 0;
};
Spread spread_of(std::vector<double> values);

struct BenchPlan {
  int64_t prompt_tokens = 512;     // 0: prompts are not measured
  int64_t generated_tokens = 128;  // 0: generation is not measured
  int64_t batch = 1;               // sequences that generate together
  std::vector<int> threads;
  int repetitions = 5;
  KvType kv_type = KvType::kF16;
  HeadPrecision head = HeadPrecision::kStored;
};

// One repetition with one number of threads. Rates are per second, 0 for what was not measured.
struct Sample {
  double prompt_tokens = 0;
  double generated_tokens = 0;  // of all sequences together
  double memory_bytes = 0;      // read speed: the mean of just before and just after generation
  double dot_macs = 0;  // peak of the int8 dot product, just before the prompt; 0: not known
};

// All repetitions with one number of threads.
struct ThreadSamples {
  int threads = 0;
  std::vector<Sample> samples;

  // Of one member over the repetitions, or of what `value` makes of a sample.
  template <typename Value>
  Spread spread(const Value& value) const {
    std::vector<double> values;
    for (const Sample& sample : samples) values.push_back(value(sample));
    return spread_of(std::move(values));
  }
};

struct BenchResult {
  std::vector<ThreadSamples> by_threads;  // in the order of the plan
  double engine_seconds = 0;              // making the first engine
  uint64_t rss_after_load_bytes = 0;
  // After one prompt and some generated tokens, before the buffer for memory readings is made.
  uint64_t peak_rss_bytes = 0;
  const char* dot_instruction = "";
  TokenCost cost;
};

// Runs the plan: a warm-up, then every repetition with each number of threads in turn, so that what
// the machine does meanwhile meets all alike. Throws kUsage when the model's context does not hold
// the tokens, kInterrupted on Ctrl-C.
BenchResult run_bench(const Model& model, const KernelTable& kernels, const BenchPlan& plan,
                      bool quiet);

}  // namespace tercet::cli
