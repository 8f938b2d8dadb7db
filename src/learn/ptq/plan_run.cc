// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <optional>
#include <vector>

#include "core/error.h"
#include "learn/ptq/calibration.h"
#include "learn/ptq/plan_model.h"
#include "learn/ptq/quantize_model.h"
#include "learn/ptq/run_setup.h"
#include "learn/ptq/training_budget.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;

// As long as the options say, where there is no text or no tokenizer yet.
std::vector<int64_t> assumed_windows(const PtqOptions& options) {
  if (options.calibration.empty() && !needs_text(options)) return {};
  if (options.calibration_tokens == 0) {
    fail(ErrorCode::kUsage, "a plan without calibration text needs a number: --calib-tokens N");
  }
  std::vector<int64_t> rows(static_cast<size_t>(options.calibration_tokens / options.context),
                            options.context);
  const int64_t rest = options.calibration_tokens % options.context;
  if (rest > 0) rows.push_back(rest);
  return rows;
}

}  // namespace

PtqPlan plan_run(PtqOptions options, const PlanHardware& hardware, int sharing) {
  std::optional<HfModel> source;
  std::error_code ignored;
  if (fs::is_regular_file(options.source, ignored) ? options.source.extension() != ".json"
                                                   : has_weights(options.source)) {
    source = open_source(options.source);
  }
  const ModelConfig config = source ? source->config() : planned_config(options.source);
  settle(options, config, sharing);
  const bool reads = source && !options.calibration.empty();
  const std::vector<int64_t> rows =
      reads ? lengths_of(calibration_windows(options, *source, hardware.ranks))
            : assumed_windows(options);
  options.max_memory = memory_limit(options);
  settle_training(config, rows, options);
  options.max_memory /= static_cast<uint64_t>(sharing);
  PtqPlan plan = plan_quantization(config, options, rows, hardware);
  plan.assumed_tokens = !reads && !rows.empty();
  plan.assumed_weights = !source;
  return plan;
}

}  // namespace tercet::learn
