// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "cli/common/memory_verdict.h"
#include "model/model.h"

namespace tercet::cli {

// Whether `source` can run with `context` tokens, their keys and values kept as `kv_type`, in the
// memory that is free now.
MemoryVerdict judge_memory_of(const WeightSource& source, int64_t context,
                              KvType kv_type = KvType::kF16);

// Before the weights are read: kUnsupported naming the file and the shortage, and what fits, when
// they or `context` tokens beside them are too much. A context of 0 asks about the weights alone;
// one beyond the model's own is left to others to refuse.
void check_memory_to_load(const WeightSource& source, int64_t context, KvType kv_type);

// The same of a model that is loaded, so that what loading has packed is taken already.
void check_memory_for_context(const Model& model, int64_t context, KvType kv_type);

}  // namespace tercet::cli
