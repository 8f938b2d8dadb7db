// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/plan_model.h"

#include "core/error.h"
#include "formats/hf_model.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndexFile = "model.safetensors.index.json";

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

}  // namespace

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
