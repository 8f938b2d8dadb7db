// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "packing/own_codes.h"
#include "packing/ternary.h"

namespace tercet {

// Bytes that packing::encode_own() gives for a matrix of this shape: header, codes and scales, each
// padded to 64. For declaring a tensor before it is encoded. Counts must come from a matrix that
// exists, so that nothing overflows.
inline int64_t own_payload_bytes(packing::Layout layout, int64_t rows, int64_t cols,
                                 packing::ScaleScope scope, int64_t group_size) {
  const auto padded = [](int64_t bytes) { return (bytes + 63) / 64 * 64; };
  const bool grouped = scope == packing::ScaleScope::kGroup;
  const int64_t group = grouped ? group_size : cols;
  const int64_t row_scales = grouped ? (cols + group - 1) / group : 1;
  const int64_t scales = scope == packing::ScaleScope::kTensor ? 1 : rows * row_scales;
  return 64 + padded(rows * packing::row_bytes(layout, cols, group)) + padded(scales * 4);
}

}  // namespace tercet
