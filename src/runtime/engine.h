// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/thread_pool.h"
#include "kernels/kernel_table.h"
#include "model/forward.h"
#include "model/kv_cache.h"
#include "model/model.h"
#include "model/packed_model.h"
#include "runtime/sampler.h"

namespace tercet {

struct EngineOptions {
  int threads = 1;
  int64_t context = 0;  // most tokens of prompt and answer together; 0: what the model was made for
  KvType kv_type = KvType::kF16;                // in what keys and values are kept
  HeadPrecision head = HeadPrecision::kStored;  // of a model that the engine packs itself
};

struct GenerateOptions {
  int64_t max_tokens = 0;  // generate at most this many, 1 or more
  SamplerOptions sampler;
  std::vector<int32_t> stop_ids;            // tokens that end the text, e.g. EOS
  const std::atomic<bool>* stop = nullptr;  // polled between tokens and chunks of the prompt
  // Keep what the context already holds of the prompt, from its first token on, and read the rest.
  // The text is the same as without.
  bool reuse_context = false;
};

enum class StopReason { kMaxTokens, kStopToken, kCallback, kInterrupted };
const char* to_string(StopReason reason);  // "max_tokens", "stop_token", "callback", "interrupted"

struct GenerateStats {
  StopReason reason = StopReason::kMaxTokens;
  int64_t prompt_tokens = 0;
  int64_t reused_tokens = 0;       // of the prompt, those that were not read again
  int64_t generated_tokens = 0;    // handed to the callback; a stop token is not counted
  double prompt_seconds = 0;       // reading the prompt
  double first_token_seconds = 0;  // from the call to the first token; 0 when there was none
  double generation_seconds = 0;   // from the end of the prompt to the last token
  double prompt_tokens_per_s() const;
  double generated_tokens_per_s() const;
};

// Runs one sequence of one model. The model and the kernel table must outlive it; several engines
// may share them. Results do not depend on the number of threads.
class Engine {
 public:
  // Throws kUsage when the thread count or the context are out of range.
  Engine(const Model& model, const KernelTable& kernels, const EngineOptions& options);
  // The same on a model that several engines share.
  Engine(std::shared_ptr<const PackedModel> packed, const EngineOptions& options);

  const Model& model() const { return model_; }
  const char* isa() const { return kernels_.name; }
  int threads() const { return pool_.size(); }
  int64_t context() const { return cache_.max_tokens(); }
  KvType kv_type() const { return cache_.type(); }
  // Key-value cache and scratch memory, when all of the context is used.
  uint64_t working_bytes() const { return cache_.bytes() + forward_.scratch_bytes(); }

  // Reads `prompt` (at least one token) into an empty context, or one that holds its beginning
  // (reuse_context), and generates until max_tokens, a stop token, `on_token` returns false, or the
  // stop flag. Throws kUsage, before any work, when prompt and max_tokens together exceed the
  // context, and like SamplerOptions::validate; kBadInput for ids outside the vocabulary.
  GenerateStats generate(std::span<const int32_t> prompt, const GenerateOptions& options,
                         const std::function<bool(int32_t token)>& on_token);

  // Forgets all tokens.
  void reset() { truncate(0); }
  // Appends tokens and returns their logits, [vocab_size] (kLast) or [tokens, vocab_size] (kAll),
  // valid until the next call. Throws like Forward::run.
  std::span<const float> advance(std::span<const int32_t> tokens, LogitsFor which);

 private:
  bool read_prompt(std::span<const int32_t> prompt, const std::atomic<bool>* stop);
  void truncate(int64_t length);
  // Tokens at the beginning of `prompt` that the context holds, all but the last at most: its
  // logits are needed.
  int64_t held_prefix(std::span<const int32_t> prompt) const;

  const Model& model_;
  const KernelTable& kernels_;
  ThreadPool pool_;
  KvCache cache_;
  Forward forward_;
  std::vector<int32_t> tokens_;  // what the cache holds
  std::vector<float> logits_;
};

}  // namespace tercet
