// SPDX-License-Identifier: Apache-2.0
#include "packing/matrix_check.h"

#include <algorithm>
#include <cmath>

#include "core/checked.h"
#include "core/error.h"

namespace tercet::packing {

int64_t columns_per_scale(const TernaryMatrix& matrix) {
  if (matrix.scope != ScaleScope::kGroup) return matrix.cols;
  return std::min(matrix.group_size, matrix.cols);
}

uint64_t scale_count(ScaleScope scope, int64_t rows, int64_t cols, int64_t group,
                     const std::string& origin) {
  if (scope == ScaleScope::kTensor) return 1;
  if (scope == ScaleScope::kRow) return static_cast<uint64_t>(rows);
  const uint64_t per_row = static_cast<uint64_t>((cols - 1) / group) + 1;
  const auto count = checked_mul(static_cast<uint64_t>(rows), per_row);
  if (!count) {
    fail(ErrorCode::kBadInput, "{}: {} rows of {} scales do not fit into 64 bits", origin, rows,
         per_row);
  }
  return *count;
}

void check_matrix(const TernaryMatrix& matrix, const std::string& origin) {
  if (matrix.rows < 1 || matrix.cols < 1) {
    fail(ErrorCode::kInternal, "{}: a matrix of {} x {} has nothing to pack", origin, matrix.rows,
         matrix.cols);
  }
  if (matrix.scope == ScaleScope::kGroup && matrix.group_size < 1) {
    fail(ErrorCode::kInternal, "{}: the group size is {}, it must be positive", origin,
         matrix.group_size);
  }
  const auto elements =
      checked_mul(static_cast<uint64_t>(matrix.rows), static_cast<uint64_t>(matrix.cols));
  if (!elements || *elements != matrix.codes.size()) {
    fail(ErrorCode::kInternal, "{}: {} codes for a matrix of {} x {}", origin, matrix.codes.size(),
         matrix.rows, matrix.cols);
  }
  const uint64_t scales =
      scale_count(matrix.scope, matrix.rows, matrix.cols, columns_per_scale(matrix), origin);
  if (scales != matrix.scales.size()) {
    fail(ErrorCode::kInternal, "{}: {} scales where {} are needed", origin, matrix.scales.size(),
         scales);
  }
  if (std::any_of(matrix.codes.begin(), matrix.codes.end(),
                  [](int8_t code) { return code < -1 || code > 1; })) {
    fail(ErrorCode::kInternal, "{}: a code is not -1, 0 or 1", origin);
  }
  if (!std::all_of(matrix.scales.begin(), matrix.scales.end(),
                   [](float scale) { return std::isfinite(scale); })) {
    fail(ErrorCode::kBadInput, "{}: a scale is NaN or infinite", origin);
  }
}

}  // namespace tercet::packing
