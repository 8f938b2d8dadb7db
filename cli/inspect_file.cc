// SPDX-License-Identifier: Apache-2.0
#include "cli/inspect_file.h"

#include <algorithm>
#include <string>
#include <type_traits>
#include <variant>

#include "cli/file_report.h"
#include "core/error.h"
#include "formats/file_kind.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "model/gguf_model.h"
#include "model/info.h"
#include "model/model.h"

namespace tercet::cli {
namespace {

constexpr size_t kMaxShown = 8;  // of a metadata array

template <typename T>
Json array_json(const std::vector<T>& values) {
  Json shown = Json::array();
  for (size_t i = 0; i < std::min(values.size(), kMaxShown); ++i) shown.push_back(T(values[i]));
  if (values.size() > kMaxShown) {
    shown.push_back(fmt::format("... {} in all", values.size()));
  }
  return shown;
}

Json to_json(const GgufValue& value) {
  return std::visit(
      [](const auto& held) -> Json {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, GgufValue::Array>) {
          return std::visit([](const auto& array) { return array_json(array); }, held);
        } else {
          return Json(held);
        }
      },
      value.value);
}

Json tensor_json(const std::string& name, const std::string& type,
                 const std::vector<int64_t>& shape, uint64_t bytes) {
  return {{"name", name}, {"type", type}, {"shape", shape}, {"bytes", bytes}};
}

Json to_json(const std::vector<TensorView>& tensors) {
  Json list = Json::array();
  for (const TensorView& tensor : tensors) {
    list.push_back(
        tensor_json(tensor.name, to_string(tensor.type), tensor.shape, tensor.bytes.size()));
  }
  return list;
}

int64_t sliding_layers(const ModelConfig& config) {
  int64_t count = 0;
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) count += config.is_sliding(i) ? 1 : 0;
  return count;
}

Json to_json(const ModelConfig& config) {
  return {{"vocab_size", config.vocab_size},
          {"hidden_size", config.hidden_size},
          {"intermediate_size", config.intermediate_size},
          {"num_hidden_layers", config.num_hidden_layers},
          {"num_attention_heads", config.num_attention_heads},
          {"num_key_value_heads", config.num_key_value_heads},
          {"head_dim", config.head_dim},
          {"max_position_embeddings", config.max_position_embeddings},
          {"rms_norm_eps", config.rms_norm_eps},
          {"rope_theta", config.rope_theta},
          {"hidden_act", to_string(config.hidden_act)},
          {"linear", to_string(config.linear)},
          {"norm", to_string(config.norm)},
          {"attention_bias", config.attention_bias},
          {"output_bias", config.output_bias},
          {"mlp_bias", config.mlp_bias},
          {"qk_norm", config.qk_norm},
          {"rope_type", to_string(config.rope_scaling.type)},
          {"rope_factor", config.rope_scaling.factor},
          {"rotary_dim", config.rotary_dimensions()},
          {"sliding_window", config.sliding_window},
          {"sliding_layers", sliding_layers(config)},
          {"tie_word_embeddings", config.tie_word_embeddings},
          {"bos_token_id", config.bos_token_id},
          {"eos_token_ids", config.eos_token_ids}};
}

Json to_json(const ModelInfo& info) {
  Json model = {{"name", info.name},
                {"architecture", info.architecture},
                {"config", to_json(info.config)},
                {"parameters", info.parameters},
                {"linear_parameters", info.linear_parameters},
                {"linear_bits_per_weight", info.linear_bits_per_weight},
                {"model_bits_per_weight", info.model_bits_per_weight},
                {"weight_bytes", info.weight_bytes},
                {"kv_cache_bytes", info.kv_cache_bytes},
                {"tokenizer_pieces", info.tokenizer_pieces},
                {"tokenizer_note", Json()}};
  if (!info.tokenizer_note.empty()) model["tokenizer_note"] = info.tokenizer_note;
  return model;
}

// Adds the model, whose tensor list counts scales with their matrices and so replaces the plain
// one.
void add_model(Json& report, const ModelInfo& info) {
  report["model"] = to_json(info);
  report["tensors"] = Json::array();
  for (const TensorInfo& tensor : info.tensors) {
    report["tensors"].push_back(tensor_json(tensor.name, tensor.type, tensor.shape, tensor.bytes));
  }
}

// How many tensors of each type there are, and their bytes.
Json count_types(const Json& tensors) {
  Json types = Json::object();
  for (const Json& tensor : tensors) {
    Json& entry = types[tensor["type"].get<std::string>()];
    if (entry.is_null()) entry = {{"tensors", 0}, {"bytes", 0}};
    entry["tensors"] = entry["tensors"].get<int64_t>() + 1;
    entry["bytes"] = entry["bytes"].get<uint64_t>() + tensor["bytes"].get<uint64_t>();
  }
  return types;
}

// The order of i2_s blocks cannot be seen in a file: whether it says so itself.
void add_i2_s_order(Json& report, const GgufFile& file) {
  const auto is_i2_s = [](const TensorView& tensor) { return tensor.type == DType::kI2S; };
  if (std::none_of(file.tensors().begin(), file.tensors().end(), is_i2_s)) return;
  report["i2_s"] = {{"block", file.integer_or(kI2SBlockKey, 128)},
                    {"stated", file.find(kI2SBlockKey) != nullptr}};
}

Json inspect_gguf(const std::filesystem::path& path) {
  const GgufFile file(path);
  Json report = {{"format", fmt::format("GGUF v{}", file.version())},
                 {"path", path.string()},
                 {"file_bytes", file.file_bytes()},
                 {"parts", file.parts()},
                 {"metadata", Json::object()},
                 {"tensors", to_json(file.tensors())}};
  add_i2_s_order(report, file);
  for (const auto& [key, value] : file.metadata()) report["metadata"][key] = to_json(value);
  // A sound file may well hold a model that this version cannot run; what it holds is still shown.
  try {
    const Model model = Model::load(path);
    add_model(report, describe(model));
    report["memory"] = report_memory(model.source());
  } catch (const Error& error) {
    report["model_error"] = error.what();
  }
  return report;
}

Json inspect_directory(const std::filesystem::path& path) {
  const Model model = Model::load(path);
  const ModelInfo info = describe(model);
  Json report = {{"format", "HF directory"},
                 {"path", path.string()},
                 {"file_bytes", info.file_bytes},
                 {"metadata", Json::object()}};
  add_model(report, info);
  report["memory"] = report_memory(model.source());
  return report;
}

Json inspect_safetensors(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  Json report = {{"format", "safetensors"},
                 {"path", path.string()},
                 {"file_bytes", std::filesystem::file_size(path)},
                 {"metadata", Json::object()},
                 {"tensors", to_json(file.tensors())}};
  for (const auto& [key, value] : file.metadata()) report["metadata"][key] = value;
  return report;
}

Json inspect_any(const std::filesystem::path& path) {
  std::error_code ignored;
  const bool directory = std::filesystem::is_directory(path, ignored);
  if (directory && std::filesystem::exists(path / "config.json", ignored)) {
    return inspect_directory(path);
  }
  if (!directory) {
    // Says what is wrong with a file that cannot be read.
    const FileKind kind = describe_file(MappedFile(path).bytes()).kind;
    if (kind == FileKind::kGguf || path.extension() == ".gguf") return inspect_gguf(path);
    if (kind == FileKind::kSafetensors || path.extension() == ".safetensors") {
      return inspect_safetensors(path);
    }
  }
  const Json report = report_file(path);
  fail(ErrorCode::kUnsupported, "'{}' is {}: {}", path.string(), report["what"].get<std::string>(),
       report["reason"].get<std::string>());
}

}  // namespace

Json inspect_file(const std::filesystem::path& path) {
  Json report = inspect_any(path);
  report["types"] = count_types(report["tensors"]);
  return report;
}

}  // namespace tercet::cli
