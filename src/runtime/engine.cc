// SPDX-License-Identifier: Apache-2.0
#include "runtime/engine.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/error.h"

namespace tercet {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool is_set(const std::atomic<bool>* flag) {
  return flag != nullptr && flag->load(std::memory_order_relaxed);
}

double rate(int64_t count, double seconds) {
  return seconds > 0.0 ? static_cast<double>(count) / seconds : 0.0;
}

int64_t context_of(const Model& model, const EngineOptions& options) {
  return options.context == 0 ? model.config().max_position_embeddings : options.context;
}

void check_request(std::span<const int32_t> prompt, const GenerateOptions& options,
                   int64_t context) {
  if (prompt.empty()) fail(ErrorCode::kUsage, "the prompt has no tokens; give some text");
  if (options.max_tokens < 1) {
    fail(ErrorCode::kUsage, "-n is {}, it must be 1 or more", options.max_tokens);
  }
  if (options.max_tokens > context || std::ssize(prompt) > context - options.max_tokens) {
    fail(ErrorCode::kUsage,
         "the prompt has {} tokens and {} are to be generated, but the context holds {}; shorten "
         "the prompt, lower -n or raise -c",
         prompt.size(), options.max_tokens, context);
  }
}

}  // namespace

const char* to_string(StopReason reason) {
  switch (reason) {
    case StopReason::kMaxTokens:
      return "max_tokens";
    case StopReason::kStopToken:
      return "stop_token";
    case StopReason::kCallback:
      return "callback";
    case StopReason::kInterrupted:
      return "interrupted";
  }
  return "unknown";
}

double GenerateStats::prompt_tokens_per_s() const {
  return rate(prompt_tokens - reused_tokens, prompt_seconds);
}

double GenerateStats::generated_tokens_per_s() const {
  return rate(generated_tokens, generation_seconds);
}

Engine::Engine(const Model& model, const KernelTable& kernels, const EngineOptions& options)
    : model_(model),
      kernels_(kernels),
      pool_(options.threads),
      cache_(model.config(), context_of(model, options), options.kv_type),
      forward_(std::make_shared<const PackedModel>(model, kernels, pool_, options.head), pool_) {}

Engine::Engine(std::shared_ptr<const PackedModel> packed, const EngineOptions& options)
    : model_(packed->model()),
      kernels_(packed->kernels()),
      pool_(options.threads),
      cache_(model_.config(), context_of(model_, options), options.kv_type),
      forward_(std::move(packed), pool_) {}

std::span<const float> Engine::advance(std::span<const int32_t> tokens, LogitsFor which) {
  const size_t rows = which == LogitsFor::kAll ? tokens.size() : 1;
  const size_t count = rows * static_cast<size_t>(model_.config().vocab_size);
  if (logits_.size() < count) logits_.resize(count);
  const std::span<float> logits = std::span(logits_).first(count);
  forward_.run(tokens, cache_, logits, which);
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  return logits;
}

void Engine::truncate(int64_t length) {
  cache_.truncate(length);
  tokens_.resize(static_cast<size_t>(length));
}

int64_t Engine::held_prefix(std::span<const int32_t> prompt) const {
  const size_t most = std::min(tokens_.size(), prompt.size() - 1);
  const auto end = prompt.begin() + static_cast<std::ptrdiff_t>(most);
  return std::mismatch(prompt.begin(), end, tokens_.begin()).first - prompt.begin();
}

// False when stopped on the way.
bool Engine::read_prompt(std::span<const int32_t> prompt, const std::atomic<bool>* stop) {
  constexpr size_t kChunk = Forward::kDefaultChunk;
  for (size_t begin = 0; begin < prompt.size(); begin += kChunk) {
    if (is_set(stop)) return false;
    advance(prompt.subspan(begin, std::min(kChunk, prompt.size() - begin)), LogitsFor::kLast);
  }
  return true;
}

GenerateStats Engine::generate(std::span<const int32_t> prompt, const GenerateOptions& options,
                               const std::function<bool(int32_t)>& on_token) {
  check_request(prompt, options, context());
  Sampler sampler(options.sampler);
  const auto vocab = static_cast<size_t>(model_.config().vocab_size);
  GenerateStats stats;
  stats.prompt_tokens = std::ssize(prompt);
  const Clock::time_point start = Clock::now();
  stats.reused_tokens = options.reuse_context ? held_prefix(prompt) : 0;
  truncate(stats.reused_tokens);
  if (!read_prompt(prompt.subspan(static_cast<size_t>(stats.reused_tokens)), options.stop)) {
    stats.reason = StopReason::kInterrupted;
    return stats;
  }
  stats.prompt_seconds = seconds_since(start);
  const Clock::time_point prompt_end = Clock::now();
  while (true) {
    const int32_t token = sampler.sample(std::span(logits_).first(vocab));
    if (std::find(options.stop_ids.begin(), options.stop_ids.end(), token) !=
        options.stop_ids.end()) {
      stats.reason = StopReason::kStopToken;
      break;
    }
    ++stats.generated_tokens;
    if (stats.generated_tokens == 1) stats.first_token_seconds = seconds_since(start);
    if (!on_token(token)) {
      stats.reason = StopReason::kCallback;
      break;
    }
    if (stats.generated_tokens == options.max_tokens) break;
    if (is_set(options.stop)) {
      stats.reason = StopReason::kInterrupted;
      break;
    }
    advance({&token, 1}, LogitsFor::kLast);
  }
  stats.generation_seconds = seconds_since(prompt_end);
  return stats;
}

}  // namespace tercet
