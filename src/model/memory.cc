// SPDX-License-Identifier: Apache-2.0
#include "model/memory.h"

#include <string_view>

#include "model/kv_cache.h"

namespace tercet {

MemoryNeed memory_need(const WeightSource& source) {
  constexpr int64_t kCodesPerByte = 4;
  const bool packs = std::string_view(source.format()) == "hf";
  MemoryNeed need;
  for (const TensorSpec& spec : tensor_specs(source.config())) {
    if (spec.rows == 0) {
      need.packed_bytes += static_cast<uint64_t>(spec.cols) * sizeof(float);
    } else if (packs && spec.low_bit) {
      const int64_t row = (spec.cols + kCodesPerByte - 1) / kCodesPerByte;
      need.packed_bytes += static_cast<uint64_t>(spec.rows * row);
    } else {
      need.mapped_bytes += source.stored_bytes(spec);
    }
  }
  need.kv_bytes_per_token = KvCache::bytes_for(source.config(), 1);
  return need;
}

}  // namespace tercet
