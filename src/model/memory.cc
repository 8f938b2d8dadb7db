// SPDX-License-Identifier: Apache-2.0
#include "model/memory.h"

#include <string_view>

#include "model/kv_cache.h"

namespace tercet {
namespace {

// Types that the integer kernels do not take as they lie.
bool is_repacked(std::string_view type) {
  return type.starts_with("q1_0") || type.starts_with("q2_0");
}

}  // namespace

MemoryNeed memory_need(const WeightSource& source) {
  constexpr int64_t kCodesPerByte = 4;
  const bool is_hf = std::string_view(source.format()) == "hf";
  MemoryNeed need;
  for (const TensorSpec& spec : tensor_specs(source.config())) {
    if (spec.rows == 0) {
      need.packed_bytes += static_cast<uint64_t>(spec.cols) * sizeof(float);
    } else if (spec.low_bit && (is_hf || is_repacked(source.stored_type_name(spec)))) {
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
