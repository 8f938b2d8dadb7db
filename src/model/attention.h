// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"

namespace tercet {

// softmax(scale * q K^T) V of one query head over `positions` >= 1 cached positions.
// query, out: [head_dim]; keys, values: [positions, head_dim]. All in f32, in blocks of positions
// with a running maximum, so that no buffer of the context's length is needed.
void attend(const float* query, const float* keys, const float* values, int64_t positions,
            int64_t head_dim, float scale, const KernelTable& kernels, float* out);

}  // namespace tercet
