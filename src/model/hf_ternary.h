// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "formats/hf_model.h"
#include "formats/model_config.h"
#include "model/ternary_rows.h"
#include "model/weights.h"

namespace tercet {

// The low-bit maps of HF directories as trit4 in `storage`, one scale per matrix. `origin` names
// the directory in errors.

// Latent weights (f32, f16 or bf16) as what training makes of them: by absmean for kB158
// (methods.md 2.1), by their centred signs for kB1 (1.1), each of `groups` groups of columns by
// itself. No more than a few rows are held as floats. Throws kBadInput when a weight is not finite.
LinearWeights quantize_latent(const TensorView& latent, const TensorSpec& spec, LinearKind kind,
                              int64_t groups, const std::string& origin, WeightStorage& storage);

// The uint8 of transformers' `quant_method: bitnet`: [rows / 4, cols], whose byte [r][c] holds the
// trits of rows r, r + rows/4, r + rows/2 and r + 3 rows/4, the first lowest; `scale` has one
// value. Throws kBadInput for other shapes, impossible codes and scales.
LinearWeights unpack_four_rows(const TensorView& packed, const TensorView& scale, bool reciprocal,
                               const TensorSpec& spec, const std::string& origin,
                               WeightStorage& storage);

// The same codes one to a float, as transformers takes them too: [rows, cols] of f32, f16 or bf16.
// Throws kUnsupported when one is not -1, 0 or 1.
LinearWeights pack_float_codes(const TensorView& codes, const TensorView& scale, bool reciprocal,
                               const TensorSpec& spec, const std::string& origin,
                               WeightStorage& storage);

// Ternary weights that were multiplied out (GivenTernary), each reach of a scale found again; for
// spec.low_bit with int8 activations, else to be used as they are. Throws kBadInput naming the
// first row where weights have two magnitudes.
LinearWeights pack_given(const TensorView& weights, const TensorSpec& spec,
                         const GivenTernary& given, const std::string& origin,
                         WeightStorage& storage);
// How far its scales reach in a matrix of that width.
ScaleReach given_reach(const GivenTernary& given, int64_t cols);

// "model.layers.0.mlp.up_proj.weight" -> "model.layers.0.mlp.up_proj.weight_scale".
std::string packed_scale_name(const std::string& hf_name);
// "...up_proj.bias" -> "...up_proj.weight"; empty for what is no bias.
std::string weight_of_bias(const std::string& hf_name);

}  // namespace tercet
