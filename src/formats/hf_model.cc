// SPDX-License-Identifier: Apache-2.0
#include "formats/hf_model.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <set>
#include <system_error>

#include "core/error.h"
#include "formats/json_fields.h"
#include "formats/printable.h"

namespace tercet {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// The name of a pickled weight file in the directory, if any.
std::optional<std::string> find_pickle(const fs::path& directory) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
    const std::string extension = entry.path().extension().string();
    if (extension == ".bin" || extension == ".pt" || extension == ".pth") {
      return entry.path().filename().string();
    }
  }
  return std::nullopt;
}

[[noreturn]] void fail_without_weights(const fs::path& directory) {
  if (const auto pickle = find_pickle(directory)) {
    fail(ErrorCode::kUnsupported,
         "{}: has '{}' but no {}; pickled weights can run code when opened and are not read, save "
         "the model as safetensors",
         directory.string(), printable(*pickle), kSingleFile);
  }
  fail(ErrorCode::kIo, "{}: neither {} nor {} is there", directory.string(), kSingleFile,
       kIndexFile);
}

void check_directory(const fs::path& directory) {
  std::error_code error;
  if (!fs::is_directory(directory, error)) {
    fail(ErrorCode::kIo, "cannot open '{}': {}; a model directory has config.json and {}",
         directory.string(), error ? error.message() : "it is not a directory", kSingleFile);
  }
  if (!is_there(directory / "config.json")) {
    fail(ErrorCode::kIo, "{}: config.json is missing; a model directory has config.json and {}",
         directory.string(), kSingleFile);
  }
}

// A shard must lie in the directory itself: an index may not point anywhere else.
void check_plain_name(const std::string& name, const std::string& origin) {
  const bool plain = !name.empty() && name != "." && name != ".." &&
                     name.find_first_of(std::string("/\\\0", 3)) == std::string::npos;
  if (plain) return;
  fail(ErrorCode::kBadInput, "{}: weight_map names '{}', which is no plain file name", origin,
       printable(name));
}

std::vector<SafetensorsFile> open_shards(const fs::path& directory) {
  const fs::path index_path = directory / kIndexFile;
  const auto weight_map = weight_map_from_json(read_json_file(index_path), index_path.string());
  std::map<std::string, size_t> opened;
  std::vector<SafetensorsFile> files;
  std::set<std::string> seen;
  for (const auto& [tensor, name] : weight_map) {
    const auto [position, is_new] = opened.emplace(name, files.size());
    if (is_new) {
      files.emplace_back(directory / name);
      for (const TensorView& view : files.back().tensors()) {
        if (seen.insert(view.name).second) continue;
        fail(ErrorCode::kBadInput, "{}: tensor '{}' is in another shard too",
             (directory / name).string(), printable(view.name));
      }
    }
    if (files[position->second].find_tensor(tensor) == nullptr) {
      fail(ErrorCode::kBadInput, "{}: tensor '{}' is not in '{}' as the index says",
           index_path.string(), printable(tensor), printable(name));
    }
  }
  return files;
}

std::vector<SafetensorsFile> open_weights(const fs::path& directory) {
  std::vector<SafetensorsFile> files;
  if (is_there(directory / kSingleFile)) {
    files.emplace_back(directory / kSingleFile);
    return files;
  }
  if (!is_there(directory / kIndexFile)) fail_without_weights(directory);
  return open_shards(directory);
}

void check_tensor(const TensorView& tensor, const TensorSpec& spec, const std::string& origin) {
  const std::vector<int64_t> shape =
      spec.rows == 0 ? std::vector<int64_t>{spec.cols} : std::vector<int64_t>{spec.rows, spec.cols};
  if (tensor.shape != shape) {
    fail(ErrorCode::kBadInput, "{}: tensor '{}' has shape [{}], config.json says [{}]", origin,
         tensor.name, fmt::join(tensor.shape, ", "), fmt::join(shape, ", "));
  }
  if (tensor.type == DType::kF32 || tensor.type == DType::kF16 || tensor.type == DType::kBF16) {
    return;
  }
  fail(ErrorCode::kUnsupported, "{}: tensor '{}' is {}; f32, f16 or bf16 weights are needed",
       origin, tensor.name, to_string(tensor.type));
}

// transformers runs the norms of LLaMA's layers before those inside the linear maps. All ones, they
// change nothing that the second norm does not undo; anything else Tercet would silently drop.
void check_outer_norms(const HfModel& model) {
  if (model.config().norm != NormPlacement::kInside) return;
  for (int64_t layer = 0; layer < model.config().num_hidden_layers; ++layer) {
    for (const char* name : {"input_layernorm", "post_attention_layernorm"}) {
      const std::string full = fmt::format("model.layers.{}.{}.weight", layer, name);
      const TensorView* tensor = model.find_tensor(full);
      if (tensor == nullptr) continue;
      const std::vector<float> values = to_f32(*tensor);
      if (std::all_of(values.begin(), values.end(), [](float v) { return v == 1.0f; })) continue;
      fail(ErrorCode::kUnsupported,
           "{}: tensor '{}' is not all ones; norms before and inside linear maps together are not "
           "supported",
           model.directory().string(), full);
    }
  }
}

}  // namespace

std::map<std::string, std::string> weight_map_from_json(const Json& json,
                                                        const std::string& origin) {
  const JsonFields fields(json, origin);
  const Json* weight_map = fields.find("weight_map");
  if (weight_map == nullptr || !weight_map->is_object() || weight_map->empty()) {
    fail(ErrorCode::kBadInput, "{}: weight_map is missing or empty", origin);
  }
  std::map<std::string, std::string> out;
  for (const auto& [tensor, file] : weight_map->items()) {
    if (!file.is_string()) {
      fail(ErrorCode::kBadInput, "{}: weight_map of '{}' is not a file name", origin,
           printable(tensor));
    }
    check_plain_name(file.get_ref<const std::string&>(), origin);
    out.emplace(tensor, file.get<std::string>());
  }
  return out;
}

HfModel::HfModel(const fs::path& directory) : directory_(directory) {
  check_directory(directory);
  const fs::path config_path = directory / "config.json";
  config_ = model_config_from_json(read_json_file(config_path), config_path.string());
  files_ = open_weights(directory);
  for (const TensorSpec& spec : tensor_specs(config_)) {
    check_tensor(tensor(spec.hf_name), spec, directory.string());
  }
  check_outer_norms(*this);
}

const TensorView* HfModel::find_tensor(const std::string& hf_name) const {
  for (const SafetensorsFile& file : files_) {
    if (const TensorView* found = file.find_tensor(hf_name)) return found;
  }
  return nullptr;
}

const TensorView& HfModel::tensor(const std::string& hf_name) const {
  const TensorView* found = find_tensor(hf_name);
  if (found == nullptr) {
    fail(ErrorCode::kBadInput, "{}: tensor '{}' is missing from its safetensors files",
         directory_.string(), hf_name);
  }
  return *found;
}

uint64_t HfModel::file_bytes() const {
  uint64_t total = 0;
  for (const SafetensorsFile& file : files_) {
    for (const TensorView& tensor : file.tensors()) total += tensor.bytes.size();
  }
  return total;
}

}  // namespace tercet
