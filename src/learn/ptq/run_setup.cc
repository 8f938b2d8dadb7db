// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/run_setup.h"

#include <malloc.h>

#include <algorithm>
#include <string_view>

#include "core/cpu.h"
#include "core/error.h"
#include "learn/nn/threads.h"
#include "learn/ptq/plan_model.h"
#include "learn/ptq/run_state.h"
#include "learn/ptq/training_budget.h"

namespace tercet::learn {
namespace {

constexpr int64_t kCalibrationContext = 512;
constexpr int64_t kEvaluationContext = 2048;

void check_choice(const PtqOptions& options, const ModelConfig& config) {
  constexpr size_t kWeight = std::string_view(".weight").size();
  for (const TensorSpec& spec : tensor_specs(config)) {
    if (spec.rows == 0 || !spec.hf_name.starts_with("model.layers.")) continue;
    if (is_chosen(options, spec.hf_name.substr(0, spec.hf_name.size() - kWeight))) return;
  }
  fail(ErrorCode::kUsage, "--only '{}' matches no linear map", options.only);
}

void settle_context(int64_t& context, int64_t most, const char* option, const ModelConfig& config) {
  if (context == 0) context = std::min(most, config.max_position_embeddings);
  if (context <= config.max_position_embeddings) return;
  fail(ErrorCode::kUsage, "{} is {}, the model's context {}", option, context,
       config.max_position_embeddings);
}

// Tensors of some megabytes come and go at every step; memory that went back to the system each
// time cost a fifth of the run in page faults.
void keep_freed_memory() {
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that glibc takes
  ::mallopt(M_TRIM_THRESHOLD, 512 << 20);
}

}  // namespace

HfModel open_source(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(path, ignored)) {
    fail(ErrorCode::kUsage,
         "'{}' is a file; quantize reads HF directories: tercet convert {} DIR/ --type f32 makes "
         "one of a GGUF file",
         path.string(), path.string());
  }
  if (std::filesystem::exists(path / kStateFile, ignored)) {
    fail(ErrorCode::kUnsupported,
         "'{}' was made by tercet quantize; give the model that it was made of", path.string());
  }
  HfModel model(path);
  check_quantizable(model.config(), model.ternary_storage().given.has_value(), path.string());
  return model;
}

void settle(PtqOptions& options, const ModelConfig& config, int64_t sharing) {
  check(options);
  if (options.threads == 0) {
    const int64_t cores = read_cpu_info().physical_cores;
    options.threads = static_cast<int>(std::max<int64_t>(1, cores / sharing));
  }
  set_compute_threads(options.threads);
  keep_freed_memory();
  // Only packed maps round their inputs at run time.
  if (!is_packable(options.layer.method)) options.int8_activations = false;
  settle_context(options.context, kCalibrationContext, "--ctx", config);
  settle_context(options.evaluation_context, kEvaluationContext, "--eval-ctx", config);
  settle_text(config, options);
  check_choice(options, config);
  check_layout(options, config);
  check(options.rest, config, options.source.string());
}

uint64_t memory_limit(const PtqOptions& options) {
  return options.max_memory != 0 ? options.max_memory : usable_memory_bytes() / 2;
}

}  // namespace tercet::learn
