// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "formats/model_config.h"
#include "kernels/kernel_table.h"
#include "model/model.h"
#include "temporary_directory.h"

namespace tercet::test {

// hidden 64, ffn 172, two layers, heads 4 / 2, vocabulary 97, context 128; dense kPre silu, tied.
ModelConfig tiny_config();
// As tiny_config(), but b1.58 with sub-norms and squared ReLU as in the 2B4T model.
ModelConfig tiny_b158_config();
// As tiny_config(), but as Gemma 3 in eight layers with a window of 16.
ModelConfig tiny_gemma3_config();
// As tiny_b158_config(), but every row a multiple of 256 long, as llama.cpp's blocks need.
ModelConfig wide_b158_config();

// The full-precision weights of a model by HF name.
using FloatWeights = std::map<std::string, std::vector<float>>;
// Random weights of a size that keeps activations of the order of one. Norms are around one.
FloatWeights random_weights(const ModelConfig& config, uint64_t seed);
// Writes config.json and model.safetensors (f32).
void write_hf_model(const std::filesystem::path& directory, const ModelConfig& config,
                    const FloatWeights& weights);

std::vector<int32_t> random_tokens(const ModelConfig& config, int64_t count, uint64_t seed);

// Logits of all tokens, [tokens, vocab_size].
std::vector<float> logits_of(const Model& model, const std::vector<int32_t>& tokens,
                             ThreadPool& pool, int64_t chunk = 64);

// RMS of the difference over RMS of the reference, of each row of `width`.
std::vector<double> relative_rms_rows(const std::vector<double>& reference,
                                      const std::vector<float>& other, int64_t width);

}  // namespace tercet::test
