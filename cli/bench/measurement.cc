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
#include "model/forward.h"
#include "model/kv_cache.h"

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

// What runs `batch` sequences at a time with one number of threads.
class Runner {
 public:
  Runner(std::shared_ptr<const PackedModel> model, int threads, const BenchPlan& plan,
         int64_t context)
      : pool_(threads), forward_(model, pool_) {
    for (int64_t sequence = 0; sequence < plan.batch; ++sequence) {
      caches_.emplace_back(model->model().config(), context, plan.kv_type);
    }
    logits_.resize(static_cast<size_t>(plan.batch * model->model().config().vocab_size));
  }

  ThreadPool& pool() { return pool_; }

  // Tokens per second that one sequence takes in chunks, the last one giving logits.
  double read_prompt(std::span<const int32_t> tokens) {
    caches_[0].truncate(0);
    const Clock::time_point start = Clock::now();
    constexpr size_t kChunk = Forward::kDefaultChunk;
    for (size_t begin = 0; begin < tokens.size(); begin += kChunk) {
      throw_if_stopped();
      const size_t count = std::min(kChunk, tokens.size() - begin);
      const bool last = begin + count == tokens.size();
      const SequenceStep step = {tokens.subspan(begin, count), caches_.data(),
                                 last ? LogitsFor::kLast : LogitsFor::kNone};
      run({&step, 1});
    }
    return static_cast<double>(tokens.size()) / seconds_since(start);
  }

  // Tokens per second of all sequences, each of which takes `tokens` one by one.
  double generate(std::span<const int32_t> tokens) {
    std::vector<SequenceStep> steps;
    for (KvCache& cache : caches_) {
      cache.truncate(0);
      steps.push_back({{}, &cache, LogitsFor::kLast});
    }
    const Clock::time_point start = Clock::now();
    for (size_t index = 0; index < tokens.size(); ++index) {
      throw_if_stopped();
      for (SequenceStep& step : steps) step.tokens = tokens.subspan(index, 1);
      run(steps);
    }
    return static_cast<double>(tokens.size() * caches_.size()) / seconds_since(start);
  }

 private:
  void run(std::span<const SequenceStep> steps) {
    const auto rows = static_cast<size_t>(Forward::logit_rows(steps));
    forward_.run_batch(steps, std::span(logits_).first(rows * logits_.size() / caches_.size()));
  }

  ThreadPool pool_;
  Forward forward_;
  std::vector<KvCache> caches_;
  std::vector<float> logits_;
};

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
  // A whole prompt, so that the peak of memory is known before the buffer of readings adds to it.
  void warm_up() {
    const int most = *std::max_element(plan_.threads.begin(), plan_.threads.end());
    const Clock::time_point start = Clock::now();
    {
      ThreadPool pool(most);
      packed_ = std::make_shared<const PackedModel>(model_, kernels_, pool, plan_.head);
    }
    result_.cost = cost();
    Runner runner(packed_, most, plan_, std::ssize(tokens_));
    result_.engine_seconds = seconds_since(start);
    result_.rss_after_load_bytes = resident_bytes();
    if (plan_.prompt_tokens > 0) runner.read_prompt(tokens(plan_.prompt_tokens));
    if (plan_.generated_tokens > 0) runner.generate(tokens(warm_up_tokens()));
    result_.peak_rss_bytes = peak_rss_bytes();
  }

  // Several tokens at once need all bits of a head in two planes.
  TokenCost cost() const {
    TokenCost cost = token_cost(*packed_);
    if (plan_.batch > 1 && packed_->head() != nullptr) {
      cost.weight_bytes += packed_->head()->bytes() - cost.head_bytes;
      cost.head_bytes = packed_->head()->bytes();
    }
    return cost;
  }

  int64_t warm_up_tokens() const { return std::min(kWarmUpTokens, plan_.generated_tokens); }

  Sample measure(int threads) {
    Sample sample;
    Runner runner(packed_, threads, plan_, std::ssize(tokens_));
    if (plan_.prompt_tokens > 0) {
      if (dot_loop_ != nullptr) sample.dot_macs = measure_dot_peak(*dot_loop_, runner.pool());
      // The first chunk meets memory that was never touched.
      runner.read_prompt(tokens(std::min(Forward::kDefaultChunk, plan_.prompt_tokens)));
      sample.prompt_tokens = runner.read_prompt(tokens(plan_.prompt_tokens));
    }
    const double before = reader_->measure(runner.pool(), kMemoryPasses).median;
    double after = before;
    if (plan_.generated_tokens > 0) {
      runner.generate(tokens(warm_up_tokens()));
      sample.generated_tokens = runner.generate(tokens(plan_.generated_tokens));
      after = reader_->measure(runner.pool(), kMemoryPasses).median;
    }
    sample.memory_bytes = (before + after) / 2;
    return sample;
  }

  std::span<const int32_t> tokens(int64_t count) const {
    return std::span(tokens_).first(static_cast<size_t>(count));
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
