// SPDX-License-Identifier: Apache-2.0
#include "cli/memory_check.h"

#include <algorithm>
#include <filesystem>

#include "core/cpu.h"
#include "core/error.h"
#include "model/memory.h"

namespace tercet::cli {
namespace {

MemoryVerdict judge(uint64_t weights, const MemoryNeed& need, int64_t context) {
  return judge_memory({.weights = weights,
                       .per_token = need.kv_bytes_per_token,
                       .context = context,
                       .available = available_memory_bytes()});
}

void require_fit(const MemoryVerdict& verdict, const std::filesystem::path& path) {
  if (verdict.fits) return;
  fail(ErrorCode::kUnsupported, "'{}' {}, or --force to run it all the same", path.string(),
       verdict.sentence);
}

}  // namespace

MemoryVerdict judge_memory_of(const WeightSource& source, int64_t context, KvType kv_type) {
  const MemoryNeed need = memory_need(source, kv_type);
  return judge(need.weight_bytes(), need, context);
}

void check_memory_to_load(const WeightSource& source, int64_t context, KvType kv_type) {
  const int64_t possible = std::clamp<int64_t>(context, 0, source.config().max_position_embeddings);
  require_fit(judge_memory_of(source, possible, kv_type), source.path());
}

void check_memory_for_context(const Model& model, int64_t context, KvType kv_type) {
  const int64_t possible = std::clamp<int64_t>(context, 0, model.config().max_position_embeddings);
  const MemoryNeed need = memory_need(model.source(), kv_type);
  require_fit(judge(need.mapped_bytes, need, possible), model.path());
}

}  // namespace tercet::cli
