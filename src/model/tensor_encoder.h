// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "model/convert_plan.h"
#include "model/weights.h"

namespace tercet {

// Takes the next bytes of a tensor.
using ByteSink = std::function<void(std::span<const uint8_t>)>;

// Bytes that encode_matrix() gives for `plan`.
uint64_t encoded_bytes(const PlannedTensor& plan);

// Re-encodes `source` as planned, rows reordered, layout or type changed, and gives the bytes to
// `sink` a few rows at a time. Between types that can hold the same values nothing is lost. Returns
// the largest relative rounding of a scale (0 unless plan.allow_rounding). Throws kUsage naming the
// tensor when the type cannot hold its codes or scales, kBadInput when the source is damaged.
double encode_matrix(const LinearWeights& source, const PlannedTensor& plan, const ByteSink& sink);

// A vector in the order that the target wants it: the bias of q or k goes with its rows.
std::vector<float> encode_vector(std::vector<float> source, const PlannedTensor& plan);

// The one scale of a ternary matrix whose scales are all equal.
float single_scale(const LinearWeights& source);

// The codes of a ternary matrix as transformers packs them: byte [r][c] of rows / 4 rows holds the
// trits of rows r, r + rows/4, r + rows/2 and r + 3 rows/4, the first lowest. Rows in the order of
// row_order(plan).
void pack_four_rows(const LinearWeights& source, const PlannedTensor& plan, const ByteSink& sink);

}  // namespace tercet
