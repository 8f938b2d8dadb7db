// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "model/stored_type.h"
#include "packing/ternary.h"

namespace tercet {

// Sizes within Tercet's own layouts (packing::encode_own), for code that has to declare or to walk a
// payload without encoding it. `type` is trit4 or trit5.

// Bytes that a run of `codes` codes takes.
constexpr int64_t own_run_bytes(StoredType type, int64_t codes) {
  const int64_t per_byte = type == StoredType::kTrit4 ? 4 : 5;
  return (codes + per_byte - 1) / per_byte;
}

// Bytes of the whole payload: header, codes and scales, each padded to 64.
constexpr int64_t own_payload_bytes(StoredType type, int64_t rows, int64_t cols,
                                    packing::ScaleScope scope, int64_t group_size) {
  const auto padded = [](int64_t bytes) { return (bytes + 63) / 64 * 64; };
  if (scope != packing::ScaleScope::kGroup) group_size = cols;
  const int64_t full_groups = cols / group_size;
  const int64_t rest = cols % group_size;
  const int64_t row_bytes =
      full_groups * own_run_bytes(type, group_size) + own_run_bytes(type, rest);
  const int64_t row_scales = full_groups + (rest != 0 ? 1 : 0);
  const int64_t scales = scope == packing::ScaleScope::kTensor ? 1 : rows * row_scales;
  return 64 + padded(rows * row_bytes) + padded(scales * 4);
}

}  // namespace tercet
