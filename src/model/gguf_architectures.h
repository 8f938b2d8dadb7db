// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "formats/model_config.h"

namespace tercet {

// Names of GGUF architectures, and what they imply without saying it in a key. Facts of llama.cpp
// and bitnet.cpp.
inline constexpr const char* kArchLlama = "llama";
inline constexpr const char* kArchQwen2 = "qwen2";
inline constexpr const char* kArchQwen3 = "qwen3";
inline constexpr const char* kArchGemma3 = "gemma3";
inline constexpr const char* kArchBitnet = "bitnet";
inline constexpr const char* kArchBitnet25 = "bitnet-25";
inline constexpr const char* kArchBitnet2B = "bitnet-b1.58";

// Every sixth layer of gemma3 sees everything, the others rotate by this base.
inline constexpr int64_t kGemma3Pattern = 6;
inline constexpr float kGemma3LocalTheta = 10000.0f;

// The scale of attention scores in a gemma3 file: 1 / sqrt(head_dim), but for the 62 layers of the
// 27B model 1 / sqrt(hidden_size / num_attention_heads).
float gemma3_attention_scale(const ModelConfig& config);

// What a yarn file's rope.scaling.attn_factor is relative to.
float yarn_attention_factor(float factor);

}  // namespace tercet
