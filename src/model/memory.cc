// SPDX-License-Identifier: Apache-2.0
#include "model/memory.h"

#include <string_view>

#include "model/kv_cache.h"

namespace tercet {
MemoryNeed memory_need(const WeightSource& source, KvType kv_type) {
  constexpr int64_t kCodesPerByte = 4;
  const bool is_hf = std::string_view(source.format()) == "hf";
  MemoryNeed need;
  for (const TensorSpec& spec : tensor_specs(source.config())) {
    if (spec.rows == 0) {
      need.packed_bytes += static_cast<uint64_t>(spec.cols) * sizeof(float);
      continue;
    }
    const bool is_packed = spec.low_bit && is_ternary(source.matrix_form(spec).type);
    if (is_packed && is_hf) {  // as trit4 first, then in panels
      const int64_t row = (spec.cols + kCodesPerByte - 1) / kCodesPerByte;
      need.packed_bytes += 2 * static_cast<uint64_t>(spec.rows * row);
    } else {
      (is_packed ? need.packed_bytes : need.mapped_bytes) += source.stored_bytes(spec);
    }
  }
  need.kv_bytes_per_token = KvCache::bytes_per_token(source.config(), kv_type);
  return need;
}

}  // namespace tercet
