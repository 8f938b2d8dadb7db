// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/plan_model.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "formats/hf_model.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kBytesAtOnce = int64_t{8} << 20;
constexpr const char* kIndexFile = "model.safetensors.index.json";

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

}  // namespace

void check_values(const HfModel& model) {
  for (const TensorSpec& spec : tensor_specs(model.config())) {
    if (spec.hf_name.empty()) continue;
    const TensorView& view = model.tensor(spec.hf_name);
    const int64_t rows = view.shape.empty() ? 1 : view.shape.front();
    const size_t row_bytes = view.bytes.size() / static_cast<size_t>(std::max<int64_t>(rows, 1));
    const int64_t at_once = std::max<int64_t>(kBytesAtOnce / static_cast<int64_t>(row_bytes + 1), 1);
    for (int64_t row = 0; row < rows; row += at_once) {
      const int64_t count = std::min(at_once, rows - row);
      TensorView part = view;
      if (!part.shape.empty()) part.shape.front() = count;
      part.bytes = view.bytes.subspan(static_cast<size_t>(row) * row_bytes,
                                      static_cast<size_t>(count) * row_bytes);
      const std::vector<float> values = to_f32(part);
      if (std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); })) {
        continue;
      }
      fail(ErrorCode::kBadInput, "{}: tensor '{}' holds a value that is not a finite number",
           model.directory().string(), spec.hf_name);
    }
    model.release(view);
  }
}

bool has_weights(const fs::path& path) {
  if (is_there(path / "model.safetensors")) return true;
  const fs::path index = path / kIndexFile;
  if (!is_there(index)) return false;
  for (const auto& [tensor, shard] : weight_map_from_json(read_json_file(index), index.string())) {
    if (!is_there(path / shard)) return false;
  }
  return true;
}

ModelConfig planned_config(const fs::path& path) {
  const fs::path file = path.extension() == ".json" ? path : path / "config.json";
  if (!is_there(file)) {
    fail(ErrorCode::kIo, "'{}' is not there; a plan needs the config.json of the model",
         file.string());
  }
  const Json json = read_json_file(file);
  const ModelConfig config = model_config_from_json(json, file.string());
  const bool is_given = ternary_storage_from_json(json, file.string()).given.has_value();
  check_quantizable(config, is_given, path.string());
  return config;
}

void check_quantizable(const ModelConfig& config, bool is_given, const std::string& origin) {
  if (config.linear != LinearKind::kDense || is_given) {
    fail(ErrorCode::kUnsupported, "'{}' is ternary already (its linear maps are {})", origin,
         config.linear == LinearKind::kDense ? "marked so" : to_string(config.linear));
  }
  const bool known = config.norm == NormPlacement::kPre || config.norm == NormPlacement::kSub ||
                     config.norm == NormPlacement::kSandwich;
  if (known) return;
  fail(ErrorCode::kUnsupported,
       "norm placement '{}' of '{}' is not quantized; pre, sub and sandwich are",
       to_string(config.norm), origin);
}

}  // namespace tercet::learn
