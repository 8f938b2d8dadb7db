// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "packing/ternary.h"

namespace tercet::packing {

// Columns that share one scale in a row: group_size for kGroup, all of them otherwise.
int64_t columns_per_scale(const TernaryMatrix& matrix);

// Scales that `scope` needs for rows x cols, `group` columns each; rows, cols, group > 0.
// Throws kBadInput naming `origin` when the number does not fit 64 bits.
uint64_t scale_count(ScaleScope scope, int64_t rows, int64_t cols, int64_t group,
                     const std::string& origin);

// What every encoder rests on: at least one element, vectors as long as the shape says, codes in
// -1..1 and finite scales. Throws kInternal, or kBadInput for the scales, naming `origin`.
void check_matrix(const TernaryMatrix& matrix, const std::string& origin);

}  // namespace tercet::packing
