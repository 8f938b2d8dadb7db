// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "formats/model_config.h"

namespace tercet {

// Keys (already rotated) and values of the tokens seen so far, f32. Move-only.
class KvCache {
 public:
  // Room for `max_tokens`. Throws kUsage when that is below 1, above the model's
  // max_position_embeddings, or more memory than there is.
  KvCache(const ModelConfig& config, int64_t max_tokens);

  int64_t max_tokens() const { return max_tokens_; }
  // Tokens held; the next token has this position.
  int64_t length() const { return length_; }
  // Forgets the tokens from position `length` on; `length` in [0, length()] (kInternal otherwise).
  void truncate(int64_t length);

  uint64_t bytes() const { return bytes_for(config_, max_tokens_); }
  static uint64_t bytes_for(const ModelConfig& config, int64_t max_tokens);

  // The model that the cache was made for.
  const ModelConfig& config() const { return config_; }

  // Keys or values of one head: [max_tokens, head_dim], those below length() filled. For Forward.
  float* keys(int64_t layer, int64_t kv_head) { return keys_.get() + offset(layer, kv_head); }
  float* values(int64_t layer, int64_t kv_head) { return values_.get() + offset(layer, kv_head); }
  // Marks `tokens` more positions as filled. For Forward.
  void advance(int64_t tokens);

 private:
  int64_t offset(int64_t layer, int64_t kv_head) const {
    return (layer * config_.num_key_value_heads + kv_head) * max_tokens_ * config_.head_dim;
  }

  ModelConfig config_;
  int64_t max_tokens_;
  int64_t length_ = 0;
  std::unique_ptr<float[]> keys_;
  std::unique_ptr<float[]> values_;
};

}  // namespace tercet
