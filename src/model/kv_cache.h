// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/aligned_buffer.h"
#include "formats/model_config.h"
#include "kernels/kernel_table.h"

namespace tercet {

const char* to_string(KvType type);  // "f32", "f16", "bf16", "int8"
// Throws kUsage for any other name, listing these.
KvType kv_type_named(std::string_view name);

// Keys (already rotated) and values of the tokens seen so far, kept as KvType says: f16 and bf16
// rounded to nearest, int8 with a scale for each head and token. Memory is taken in segments of
// kSegmentPositions tokens as they come, each with all layers, and kept until the end. Move-only.
class KvCache {
 public:
  // Room for `max_tokens`. Throws kUsage when that is below 1, above the model's
  // max_position_embeddings, or more memory than can be addressed; kUnsupported when its heads are
  // larger than any known model's.
  KvCache(const ModelConfig& config, int64_t max_tokens, KvType type = KvType::kF32);

  KvType type() const { return type_; }
  int64_t max_tokens() const { return max_tokens_; }
  // Tokens held; the next token has this position.
  int64_t length() const { return length_; }
  // Forgets the tokens from position `length` on; `length` in [0, length()] (kInternal otherwise).
  void truncate(int64_t length);

  // Memory when all of max_tokens() are used, and what has been taken of it so far.
  uint64_t bytes() const { return bytes_for(config_, max_tokens_, type_); }
  uint64_t held_bytes() const;
  static uint64_t bytes_per_token(const ModelConfig& config, KvType type);
  static uint64_t bytes_for(const ModelConfig& config, int64_t max_tokens, KvType type);

  // The model that the cache was made for.
  const ModelConfig& config() const { return config_; }

  // The rest is for Forward.

  // Takes the memory for `tokens` more, which must fit max_tokens(). Throws kIo when it lacks.
  void reserve(int64_t tokens);
  // What one head has in one segment, as AttentionCall describes it.
  struct Head {
    uint8_t* keys;
    uint8_t* values;
    float* key_scales;
    float* value_scales;
  };
  Head head(int64_t layer, int64_t kv_head, int64_t segment);
  // Writes the key and the value of a head, [head_dim] each, at a reserved position.
  void store(int64_t layer, int64_t kv_head, int64_t position, const float* key, const float* value,
             const KernelTable& kernels);
  // Marks `tokens` more positions as filled.
  void advance(int64_t tokens);

 private:
  // Positions that a segment has room for: kSegmentPositions but in the last one.
  int64_t capacity(int64_t segment) const;

  ModelConfig config_;
  KvType type_;
  int64_t max_tokens_;
  int64_t length_ = 0;
  std::vector<AlignedBuffer> segments_;
};

}  // namespace tercet
