// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"
#include "model/weight_source.h"

namespace tercet {

// What a model takes to run, known before its weights are read.
struct MemoryNeed {
  uint64_t mapped_bytes = 0;        // weights used where they lie in their file
  uint64_t packed_bytes = 0;        // weights that loading makes anew: low-bit ones, in panels
  uint64_t kv_bytes_per_token = 0;  // keys and values, in the type asked for

  uint64_t weight_bytes() const { return mapped_bytes + packed_bytes; }
};

MemoryNeed memory_need(const WeightSource& source, KvType kv_type = KvType::kF16);

}  // namespace tercet
