// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/checked.h"
#include "core/error.h"

namespace tercet {

// Extents that a file gives, as a tensor's shape. Throws kBadInput naming `where` when they have
// more than 2^62 elements. Extents of zero are left out of that count: an empty tensor of 0 x 2^62
// x 2^62 has a product that overflows when it is taken in another order.
inline std::vector<int64_t> checked_shape(std::span<const uint64_t> extents,
                                          const std::string& where) {
  constexpr uint64_t kMaxElements = uint64_t{1} << 62;
  std::vector<int64_t> shape;
  uint64_t product = 1;
  for (const uint64_t extent : extents) {
    const auto next = extent == 0 ? product : checked_mul(product, extent);
    if (!next || *next > kMaxElements) {
      fail(ErrorCode::kBadInput, "{} has too many elements", where);
    }
    product = *next;
    shape.push_back(static_cast<int64_t>(extent));
  }
  return shape;
}

}  // namespace tercet
