// SPDX-License-Identifier: Apache-2.0
#include "model/kv_cache.h"

#include <limits>
#include <new>

#include "core/checked.h"
#include "core/error.h"

namespace tercet {

KvCache::KvCache(const ModelConfig& config, int64_t max_tokens)
    : config_(config), max_tokens_(max_tokens) {
  if (max_tokens < 1)
    fail(ErrorCode::kUsage, "a context of {} tokens is too short; use 1 or more", max_tokens);
  if (max_tokens > config.max_position_embeddings) {
    fail(ErrorCode::kUsage, "a context of {} tokens exceeds the {} that the model was made for",
         max_tokens, config.max_position_embeddings);
  }
  const uint64_t floats = bytes_for(config, max_tokens) / (2 * sizeof(float));
  try {
    // Left uninitialised: pages are touched only as tokens come.
    keys_ = std::make_unique_for_overwrite<float[]>(floats);
    values_ = std::make_unique_for_overwrite<float[]>(floats);
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::kUsage, "a context of {} tokens needs {} MiB of memory; choose a shorter one",
         max_tokens, bytes_for(config, max_tokens) >> 20);
  }
}

uint64_t KvCache::bytes_for(const ModelConfig& config, int64_t max_tokens) {
  const uint64_t per_token = static_cast<uint64_t>(config.num_hidden_layers) *
                             static_cast<uint64_t>(config.num_key_value_heads * config.head_dim) *
                             2 * sizeof(float);
  // Saturates: no such amount can be allocated anyway.
  return checked_mul(per_token, static_cast<uint64_t>(max_tokens))
      .value_or(std::numeric_limits<uint64_t>::max());
}

void KvCache::truncate(int64_t length) {
  if (length < 0 || length > length_) {
    fail(ErrorCode::kInternal, "cannot truncate a cache of {} tokens to {}", length_, length);
  }
  length_ = length;
}

void KvCache::advance(int64_t tokens) {
  if (tokens < 0 || tokens > max_tokens_ - length_) {
    fail(ErrorCode::kInternal, "cache of {} tokens cannot take {} after {}", max_tokens_, tokens,
         length_);
  }
  length_ += tokens;
}

}  // namespace tercet
