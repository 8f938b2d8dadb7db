// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "model/convert_plan.h"
#include "model/weights.h"

namespace tercet {

// A matrix of the source as the bytes of the target.
struct EncodedMatrix {
  std::vector<uint8_t> bytes;
  // The scale that llama.cpp's block types keep in a tensor of its own; unused by the others.
  float scale = 1.0f;
};

// Re-encodes `source` as planned: rows reordered, layout or type changed. Between types that can
// hold the same values nothing is lost. Throws kBadInput when the source's bytes are damaged.
EncodedMatrix encode_matrix(const LinearWeights& source, const PlannedTensor& plan);

// The rows of `matrix` with their codes and scales in another order: row r of the result is row
// permutation[r].
packing::TernaryMatrix reorder_rows(const packing::TernaryMatrix& matrix,
                                    const std::vector<int64_t>& permutation);

// A vector in the order that the target wants it: the bias of q or k goes with its rows.
std::vector<float> encode_vector(std::vector<float> source, const PlannedTensor& plan);

}  // namespace tercet
