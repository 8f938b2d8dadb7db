// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <utility>

#include "learn/nn/device_path.h"
#include "learn/nn/loops/loop_table.h"

namespace tercet::learn {

// Memory of a contiguous tensor as the loops see it: float, or the bits of bf16.
template <typename Store>
Store* storage(const at::Tensor& tensor) {
  return static_cast<Store*>(tensor.data_ptr());
}

// Calls body.template operator()<float>() or <uint16_t>() by the compute type.
template <typename Body>
decltype(auto) with_storage(at::ScalarType compute, Body&& body) {
  if (compute == at::kBFloat16) return std::forward<Body>(body).template operator()<uint16_t>();
  return std::forward<Body>(body).template operator()<float>();
}

// Rows in parallel, in blocks large enough to be worth a thread.
template <typename Body>
void for_rows(int64_t rows, int64_t row_elements, const Body& body) {
  const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, row_elements));
  at::parallel_for(0, rows, grain, body);
}

// Rows in kShares fixed parts, for sums over rows that must not depend on the number of threads:
// body(share, begin, end), in parallel.
inline constexpr int64_t kShares = 16;
template <typename Body>
void for_shares(int64_t rows, const Body& body) {
  const int64_t per_share = (rows + kShares - 1) / kShares;
  at::parallel_for(0, kShares, 1, [&](int64_t first, int64_t last) {
    for (int64_t share = first; share < last; ++share) {
      body(share, std::min(rows, share * per_share), std::min(rows, (share + 1) * per_share));
    }
  });
}

}  // namespace tercet::learn
