// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "learn/nn/ops.h"

namespace tercet::learn {

// What the inputs of low-bit maps may pass before they are rounded (BitnetVariants). Both are the
// runtime's own functions on the CPU, so that both halves round the same floats.

// Each row's runs of hadamard_block(n) elements times the normalized Walsh-Hadamard matrix, which
// is symmetric and its own inverse; so is its gradient. x: [rows, n].
at::Tensor hadamard(const at::Tensor& x);

// Elements of each row whose magnitude is at least that of its `count`-th largest, zeros for the
// others, which get no gradient either. x: [rows, n], 1 <= count <= n.
at::Tensor keep_largest(const at::Tensor& x, int64_t count);

}  // namespace tercet::learn
