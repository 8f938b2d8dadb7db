// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "formats/gguf.h"
#include "formats/model_config.h"
#include "model/rope.h"
#include "model/stored_type.h"

namespace tercet {

// ModelConfig <-> GGUF metadata. Architecture names written:
//   llama         LLaMA as every reader knows it: norms before the blocks, SiLU; dense, or b1.58
//                 without biases in llama.cpp's ternary blocks
//   qwen2         the same with biases on q, k and v
//   qwen3         the same with norms of the heads of q and k
//   gemma3        Gemma 3: dense, norms around the blocks, five of six layers slide
//   bitnet        b1.58 in TQ1_0/TQ2_0, sub-norms, SiLU, tied head, as llama.cpp reads it
//   bitnet-b1.58  the same with squared ReLU (BitNet b1.58 2B4T), as bitnet.cpp reads it
//   tercet        everything else; other readers refuse it by name
// Read is bitnet-25 as well, an older name of bitnet-b1.58.
inline constexpr const char* kArchTercet = "tercet";

// Metadata: names of the I8 tensors whose payload is one of Tercet's own layouts.
inline constexpr const char* kLowBitTensorsKey = "tercet.low_bit.tensors";

// Metadata: codes in a block of i2_s, 128 or 64 (docs/formats/low_bit.md); 128 without it.
inline constexpr const char* kI2SBlockKey = "tercet.i2_s.block";

// Metadata: "b1.58" or "dense". Where the file does not say, ternary types of BitNet models (tq1_0,
// tq2_0, i2_s) mean int8 activations, q1_0 and q2_0 do not.
inline constexpr const char* kLinearKey = "tercet.linear";

// The architecture name under which a model with linear maps stored as `linear` is written.
std::string gguf_architecture(const ModelConfig& config, StoredType linear);

// How a file of that architecture orders the rows of q and k: adjacent for llama, whose readers
// rotate neighbours, half-split for the others.
RopeOrder rope_order_of(const std::string& architecture);

// The configuration in a file's metadata, validated. Throws kBadInput / kUnsupported naming file
// and key.
ModelConfig config_from_gguf(const GgufFile& file);

// Sets the keys that config_from_gguf() reads, but not kLowBitTensorsKey.
void set_gguf_config(GgufWriter& writer, const ModelConfig& config,
                     const std::string& architecture);

// "blk.0.attn_q.weight" -> "blk.0.attn_q.scale": the f32 scale beside llama.cpp's ternary blocks.
std::string scale_tensor_name(const std::string& weight_name);

}  // namespace tercet
