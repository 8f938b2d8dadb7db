// SPDX-License-Identifier: Apache-2.0
#include "model/ternary_blocks.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/half.h"

namespace tercet {

int64_t ternary_block_bytes(StoredType type) {
  const DType dtype = file_dtype(type);
  return static_cast<int64_t>(
      row_bytes(dtype, static_cast<uint64_t>(kTernaryBlock), to_string(type)));
}

std::vector<float> ternary_block_scales(StoredType type, std::span<const uint8_t> blocks,
                                        const std::string& origin) {
  const size_t block = static_cast<size_t>(ternary_block_bytes(type));
  std::vector<float> scales;
  scales.reserve(1);
  bool uniform = true;
  const auto scale_bits = [&](size_t index) {
    const uint8_t* at = blocks.data() + index * block + block - 2;
    return static_cast<uint16_t>(at[0] | (at[1] << 8));
  };
  const size_t count = blocks.size() / block;
  for (size_t i = 1; i < count && uniform; ++i) uniform = scale_bits(i) == scale_bits(0);
  for (size_t i = 0; i < (uniform ? std::min<size_t>(count, 1) : count); ++i) {
    const float scale = f16_to_f32(scale_bits(i));
    if (!std::isfinite(scale)) {
      fail(ErrorCode::kBadInput,
           "{}: the scale of block {} is not a finite number; the file is damaged", origin, i);
    }
    scales.push_back(scale);
  }
  return scales;
}

}  // namespace tercet
