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

constexpr int64_t kPackedRows = 4;  // rows of codes that share a row of packed bytes

void check_tensor(const TensorView& tensor, const TensorSpec& spec, const HfTernaryStorage& storage,
                  const std::string& origin) {
  const bool packed = spec.low_bit && storage.packed && tensor.type == DType::kU8;
  const int64_t rows = packed ? (spec.rows + kPackedRows - 1) / kPackedRows : spec.rows;
  const std::vector<int64_t> shape =
      spec.rows == 0 ? std::vector<int64_t>{spec.cols} : std::vector<int64_t>{rows, spec.cols};
  if (tensor.shape != shape) {
    fail(ErrorCode::kBadInput, "{}: tensor '{}' has shape [{}], config.json says [{}]", origin,
         tensor.name, fmt::join(tensor.shape, ", "), fmt::join(shape, ", "));
  }
  if (packed) return;
  if (tensor.type == DType::kF32 || tensor.type == DType::kF16 || tensor.type == DType::kBF16) {
    return;
  }
  fail(ErrorCode::kUnsupported, "{}: tensor '{}' is {}; f32, f16 or bf16 weights are needed",
       origin, tensor.name, to_string(tensor.type));
}

// The block's norms that Tercet writes beside a kInside model are for transformers' sake and all
// ones; anything else would silently be dropped.
void check_outer_norms(const HfModel& model) {
  if (model.config().norm != NormPlacement::kInside) return;
  for (int64_t layer = 0; layer < model.config().num_hidden_layers; ++layer) {
    for (const char* name : {"input_layernorm", "post_attention_layernorm"}) {
      const std::string full = fmt::format("model.layers.{}.{}.weight", layer, name);
      const TensorView* tensor = model.find_tensor(full);
      if (tensor == nullptr) continue;
      const std::vector<float> values = to_f32(*tensor);
      if (std::all_of(values.begin(), values.end(), [](float v) { return v == 1.0f; })) continue;
      fail(
          ErrorCode::kUnsupported,
          "{}: tensor '{}' is not all ones, but config.json says \"norm\": \"inside\"; remove that "
          "field to run both norms",
          model.directory().string(), full);
    }
  }
}

constexpr const char* kPlainPrefix = "model.";

// Models that also see keep their text half under a longer name, which changed between versions of
// transformers.
std::string find_text_prefix(const std::vector<SafetensorsFile>& files) {
  for (const char* prefix : {"model.language_model.", "language_model.model."}) {
    for (const SafetensorsFile& file : files) {
      if (file.find_tensor(fmt::format("{}embed_tokens.weight", prefix)) != nullptr) return prefix;
    }
  }
  return kPlainPrefix;
}

// A tensor of a layer that nothing here uses, such as a norm that config.json does not speak of,
// would change the result in the program that made it.
void check_layer_names(const std::vector<SafetensorsFile>& files, const std::string& prefix,
                       const ModelConfig& config, const std::string& origin) {
  std::set<std::string> known;
  for (const TensorSpec& spec : tensor_specs(config)) {
    known.insert(spec.hf_name);
    if (spec.low_bit) known.insert(spec.hf_name + "_scale");
  }
  const std::string layers = prefix + "layers.";
  for (const SafetensorsFile& file : files) {
    for (const TensorView& tensor : file.tensors()) {
      if (!tensor.name.starts_with(layers)) continue;
      const std::string name = kPlainPrefix + tensor.name.substr(prefix.size());
      // Old files keep the rotary frequencies, which follow from the configuration.
      if (known.contains(name) || name.ends_with(".rotary_emb.inv_freq")) continue;
      if (config.norm == NormPlacement::kInside && name.ends_with("layernorm.weight")) continue;
      fail(ErrorCode::kUnsupported,
           "{}: tensor '{}' does not belong to a model as config.json "
           "describes it; running without it would give other results",
           origin, printable(tensor.name));
    }
  }
}

// Chat models stop at more tokens than config.json says.
void add_generation_ends(const fs::path& path, ModelConfig& config) {
  if (!is_there(path)) return;
  const Json json = read_json_file(path);
  const JsonFields fields(json, path.string());
  for (const int64_t id : fields.integers_or("eos_token_id", {})) {
    if (id < 0 || id >= config.vocab_size) {
      fail(ErrorCode::kBadInput, "{} is {}, outside the vocabulary of {} tokens",
           fields.describe("eos_token_id"), id, config.vocab_size);
    }
    std::vector<int32_t>& ids = config.eos_token_ids;
    const int32_t end = static_cast<int32_t>(id);
    if (std::find(ids.begin(), ids.end(), end) == ids.end()) ids.push_back(end);
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
  const Json config = read_json_file(config_path);
  config_ = model_config_from_json(config, config_path.string());
  ternary_storage_ = ternary_storage_from_json(config, config_path.string());
  add_generation_ends(directory / "generation_config.json", config_);
  files_ = open_weights(directory);
  text_prefix_ = find_text_prefix(files_);
  for (const TensorSpec& spec : tensor_specs(config_)) {
    if (spec.hf_name.empty()) continue;
    check_tensor(tensor(spec.hf_name), spec, ternary_storage_, directory.string());
  }
  check_layer_names(files_, text_prefix_, config_, directory.string());
  check_outer_norms(*this);
}

const TensorView* HfModel::find_tensor(const std::string& hf_name) const {
  std::string name = hf_name;
  if (name.starts_with(kPlainPrefix)) {
    name.replace(0, std::string_view(kPlainPrefix).size(), text_prefix_);
  }
  for (const SafetensorsFile& file : files_) {
    if (const TensorView* found = file.find_tensor(name)) return found;
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

void HfModel::release(const TensorView& tensor) const {
  for (const SafetensorsFile& file : files_) file.release(tensor);
}

uint64_t HfModel::file_bytes() const {
  uint64_t total = 0;
  for (const SafetensorsFile& file : files_) {
    for (const TensorView& tensor : file.tensors()) total += tensor.bytes.size();
  }
  return total;
}

}  // namespace tercet
