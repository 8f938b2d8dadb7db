// SPDX-License-Identifier: Apache-2.0
#include "cli/bench/measurement.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <string>

#include "cli/common/progress.h"
#include "cli/common/signals.h"
#include "core/cpu.h"
#include "core/error.h"
#include "core/rng.h"
#include "machine/dot_peak.h"
#include "machine/resident_memory.h"
#include "runtime/engine.h"

namespace tercet::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kMemoryPasses = 4;
constexpr int64_t kWarmUpTokens = 4;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Text makes no difference to the time, so any tokens do.
std::vector<int32_t> random_tokens(int64_t count, int64_t vocab_size) {
  Rng rng(1);
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t& token : tokens) {
    token = static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocab_size)));
  }
  return tokens;
}

void check(const Model& model, const BenchPlan& plan) {
  if (plan.prompt_tokens == 0 && plan.generated_tokens == 0) {
    fail(ErrorCode::kUsage, "-p and -n are both 0, so there is nothing to measure");
  }
  const int64_t limit = model.config().max_position_embeddings;
  for (const auto& [option, tokens] :
       {std::pair("-p", plan.prompt_tokens), std::pair("-n", plan.generated_tokens)}) {
    if (tokens <= limit) continue;
    fail(ErrorCode::kUsage, "{} is {}, the context of this model holds {} tokens", option, tokens,
         limit);
  }
}

// One plan on one model.
class Bench {
 public:
  Bench(const Model& model, const KernelTable& kernels, const BenchPlan& plan, bool quiet)
      : model_(model),
        kernels_(kernels),
        plan_(plan),
        tokens_(random_tokens(std::max(plan.prompt_tokens, plan.generated_tokens),
                              model.config().vocab_size)),
        dot_loop_(find_dot_loop(kernels.name)),
        progress_("bench: runs", plan.repetitions * std::ssize(plan.threads), quiet) {}

  BenchResult run() {
    warm_up();
    reader_.emplace();
    for (const int threads : plan_.threads) result_.by_threads.push_back({threads, {}});
    if (dot_loop_ != nullptr) result_.dot_instruction = dot_loop_->instruction;
    int64_t done = 0;
    for (int repetition = 0; repetition < plan_.repetitions; ++repetition) {
      for (ThreadSamples& of_threads : result_.by_threads) {
        of_threads.samples.push_back(measure(of_threads.threads));
        progress_.update(++done, note(of_threads));
      }
    }
    return std::move(result_);
  }

 private:
  EngineOptions engine_options(int threads) const {
    return {.threads = threads, .context = std::ssize(tokens_), .kv_type = plan_.kv_type};
  }

  // A whole prompt, so that the peak of memory is known before the buffer of readings adds to it.
  void warm_up() {
    const int most = *std::max_element(plan_.threads.begin(), plan_.threads.end());
    const Clock::time_point start = Clock::now();
    ThreadPool pool(most);
    packed_ = std::make_shared<const PackedModel>(model_, kernels_, pool, plan_.head);
    result_.cost = token_cost(*packed_);
    Engine engine(packed_, engine_options(most));
    result_.engine_seconds = seconds_since(start);
    result_.rss_after_load_bytes = resident_bytes();
    if (plan_.prompt_tokens > 0) read_prompt(engine, plan_.prompt_tokens);
    if (plan_.generated_tokens > 0) {
      generate(engine, std::min(kWarmUpTokens, plan_.generated_tokens));
    }
    result_.peak_rss_bytes = peak_rss_bytes();
  }

  Sample measure(int threads) {
    Sample sample;
    Engine engine(packed_, engine_options(threads));
    ThreadPool pool(threads);
    if (plan_.prompt_tokens > 0) {
      if (dot_loop_ != nullptr) sample.dot_macs = measure_dot_peak(*dot_loop_, pool);
      // The first chunk in a new engine meets memory that was never touched.
      read_prompt(engine, std::min<int64_t>(Forward::kDefaultChunk, plan_.prompt_tokens));
      sample.prompt_tokens = read_prompt(engine, plan_.prompt_tokens);
    }
    const double before = reader_->measure(pool, kMemoryPasses).median;
    double after = before;
    if (plan_.generated_tokens > 0) {
      generate(engine, std::min(kWarmUpTokens, plan_.generated_tokens));
      sample.generated_tokens = generate(engine, plan_.generated_tokens);
      after = reader_->measure(pool, kMemoryPasses).median;
    }
    sample.memory_bytes = (before + after) / 2;
    return sample;
  }

  // Tokens per second of `count` tokens that an empty context takes in chunks.
  double read_prompt(Engine& engine, int64_t count) {
    engine.reset();
    const Clock::time_point start = Clock::now();
    for (int64_t begin = 0; begin < count; begin += Forward::kDefaultChunk) {
      throw_if_stopped();
      const int64_t chunk = std::min(Forward::kDefaultChunk, count - begin);
      engine.advance(tokens(begin, chunk), LogitsFor::kLast);
    }
    return static_cast<double>(count) / seconds_since(start);
  }

  // The same one by one.
  double generate(Engine& engine, int64_t count) {
    engine.reset();
    const Clock::time_point start = Clock::now();
    for (int64_t index = 0; index < count; ++index) {
      throw_if_stopped();
      engine.advance(tokens(index, 1), LogitsFor::kLast);
    }
    return static_cast<double>(count) / seconds_since(start);
  }

  std::span<const int32_t> tokens(int64_t first, int64_t count) const {
    return std::span(tokens_).subspan(static_cast<size_t>(first), static_cast<size_t>(count));
  }

  static std::string note(const ThreadSamples& of_threads) {
    const Sample& last = of_threads.samples.back();
    return fmt::format("{} thread{}: prompt {:.1f}/s, generation {:.1f}/s", of_threads.threads,
                       of_threads.threads == 1 ? "" : "s", last.prompt_tokens,
                       last.generated_tokens);
  }

  const Model& model_;
  std::shared_ptr<const PackedModel> packed_;
  const KernelTable& kernels_;
  const BenchPlan& plan_;
  std::vector<int32_t> tokens_;
  const DotLoop* dot_loop_;
  Progress progress_;
  std::optional<MemoryReader> reader_;
  BenchResult result_;
};

}  // namespace

Spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {median, values.front(), values.back()};
}

BenchResult run_bench(const Model& model, const KernelTable& kernels, const BenchPlan& plan,
                      bool quiet) {
  check(model, plan);
  return Bench(model, kernels, plan, quiet).run();
}

}  // namespace tercet::cli
