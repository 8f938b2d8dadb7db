// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "formats/hf_model.h"
#include "formats/safetensors.h"
#include "model/byte_batch.h"
#include "model/convert_steps.h"
#include "model/hf_ternary.h"
#include "model/tensor_encoder.h"
#include "packing/ternary.h"
#include "tokenizer/tokenizer_files.h"

namespace tercet {
namespace fs = std::filesystem;

namespace {

// A tensor of the directory, and where its bytes come from.
struct HfTensor {
  enum class Content { kMatrix, kPackedMatrix, kPackedScale, kVector, kOnes };
  std::string name;
  DType type = DType::kF32;
  std::vector<int64_t> shape;
  Content content = Content::kVector;
  const PlannedTensor* plan = nullptr;  // nullptr for kOnes

  uint64_t bytes() const {
    return row_bytes(type, static_cast<uint64_t>(TensorView{name, type, shape, {}}.elements()),
                     name);
  }
};

using Content = HfTensor::Content;

// In transformers the norms of a block run before those inside its linear maps: all ones, they
// change nothing.
void add_outer_norms(const ConvertPlan& plan, std::vector<HfTensor>& out) {
  if (plan.config.norm != NormPlacement::kInside) return;
  for (int64_t layer = 0; layer < plan.config.num_hidden_layers; ++layer) {
    for (const char* name : {"input_layernorm", "post_attention_layernorm"}) {
      out.push_back({fmt::format("model.layers.{}.{}.weight", layer, name),
                     DType::kF32,
                     {plan.config.hidden_size},
                     Content::kOnes,
                     nullptr});
    }
  }
}

std::vector<HfTensor> list_tensors(const ConvertPlan& plan) {
  std::vector<HfTensor> out;
  for (const PlannedTensor& tensor : plan.tensors) {
    const TensorSpec& spec = tensor.spec;
    if (spec.hf_name.empty()) continue;  // follows from the configuration
    if (spec.rows == 0) {
      out.push_back({spec.hf_name, DType::kF32, {spec.cols}, Content::kVector, &tensor});
    } else if (tensor.packed) {
      out.push_back(
          {spec.hf_name, DType::kU8, {spec.rows / 4, spec.cols}, Content::kPackedMatrix, &tensor});
      out.push_back(
          {packed_scale_name(spec.hf_name), DType::kF32, {1}, Content::kPackedScale, &tensor});
    } else {
      out.push_back({spec.hf_name,
                     file_dtype(tensor.type),
                     {spec.rows, spec.cols},
                     Content::kMatrix,
                     &tensor});
    }
  }
  add_outer_norms(plan, out);
  return out;
}

// Cuts the list so that no file passes `limit` bytes unless one tensor does.
std::vector<std::vector<HfTensor>> shards_of(std::vector<HfTensor> tensors, uint64_t limit) {
  std::vector<std::vector<HfTensor>> shards(1);
  uint64_t size = 0;
  for (HfTensor& tensor : tensors) {
    const uint64_t bytes = tensor.bytes();
    if (!shards.back().empty() && size + bytes > limit) {
      shards.emplace_back();
      size = 0;
    }
    size += bytes;
    shards.back().push_back(std::move(tensor));
  }
  return shards;
}

// A directory under another name until it is complete.
class NewDirectory {
 public:
  explicit NewDirectory(const fs::path& target) : target_(without_slash(target)) {
    path_ = target_;
    path_ += fmt::format(".{}.tmp", ::getpid());
    make_directories(path_);
  }
  ~NewDirectory() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  NewDirectory(const NewDirectory&) = delete;
  NewDirectory& operator=(const NewDirectory&) = delete;

  const fs::path& path() const { return path_; }

  void commit() {
    std::error_code error;
    fs::remove(target_, error);  // an empty directory
    fs::rename(path_, target_, error);
    if (error) fail(ErrorCode::kIo, "cannot create '{}': {}", target_.string(), error.message());
    path_.clear();
    const fs::path parent = target_.parent_path();
    sync_directory(parent.empty() ? "." : parent);
  }

 private:
  static fs::path without_slash(const fs::path& path) {
    return path.has_filename() ? path : path.parent_path();
  }

  fs::path target_;
  fs::path path_;
};

class HfConverter {
 public:
  HfConverter(const WeightSource& source, const ConvertPlan& plan, uint64_t max_shard_bytes)
      : source_(source), plan_(plan), shards_(shards_of(list_tensors(plan), max_shard_bytes)) {}

  ConvertReport run(const fs::path& directory, ConvertSteps& steps) {
    write_config(directory);
    for (size_t i = 0; i < shards_.size(); ++i) write_shard(directory, i, steps);
    if (shards_.size() > 1) write_index(directory);
    write_tokenizer(directory);
    report_.linear_bits_per_weight =
        packing::bits_per_weight(linear_bytes_, 1, plan_.config.linear_parameter_count());
    report_.model_bits_per_weight =
        packing::bits_per_weight(report_.bytes, 1, plan_.config.parameter_count());
    return std::move(report_);
  }

 private:
  std::string file_name(size_t shard) const {
    if (shards_.size() == 1) return "model.safetensors";
    return fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, shards_.size());
  }

  void write_config(const fs::path& directory) {
    Json config = model_config_to_json(plan_.config);
    report_.architecture = config.value("model_type", "");
    if (plan_.packed) {
      config["quantization_config"]["quantization_mode"] = "offline";
    } else {
      config["torch_dtype"] = torch_dtype(plan_.linear_type);
    }
    write_text_file(directory / "config.json", config.dump(2) + "\n");
  }

  static const char* torch_dtype(StoredType type) {
    if (type == StoredType::kF16) return "float16";
    return type == StoredType::kBF16 ? "bfloat16" : "float32";
  }

  void write_shard(const fs::path& directory, size_t index, ConvertSteps& steps) {
    SafetensorsWriter writer(directory / file_name(index), {{"format", "pt"}});
    for (const HfTensor& tensor : shards_[index]) {
      writer.declare(tensor.name, tensor.type, tensor.shape);
    }
    for (const HfTensor& tensor : shards_[index]) {
      steps.before_tensor();
      ByteBatch batch([&writer](std::span<const uint8_t> bytes) { writer.append(bytes); });
      write(tensor, [&batch](std::span<const uint8_t> bytes) { batch.add(bytes); });
      batch.flush();
      count(tensor, batch.total());
      if (tensor.plan == nullptr || tensor.content == Content::kPackedScale) continue;
      steps.after_tensor(tensor.name);
    }
    writer.finish();
  }

  void write(const HfTensor& tensor, const ByteSink& sink) {
    const auto put_floats = [&](const std::vector<float>& values) {
      sink(from_f32(values, DType::kF32, static_cast<int64_t>(values.size()), tensor.name));
    };
    if (tensor.content == Content::kOnes) {
      return put_floats(std::vector<float>(static_cast<size_t>(tensor.shape.front()), 1.0f));
    }
    const TensorSpec& spec = tensor.plan->spec;
    if (tensor.content == Content::kVector) {
      std::vector<float> values = encode_vector(source_.vector(spec), *tensor.plan);
      const float factor = plan_.packed ? scale_of_bias(spec) : 1.0f;
      for (float& value : values) value = (value - spec.hf_offset) / factor;
      return put_floats(values);
    }
    if (tensor.content == Content::kPackedScale) return put_floats({scale_});
    WeightStorage storage;  // of this tensor only
    const LinearWeights weights = source_.matrix(spec, storage);
    if (tensor.content == Content::kPackedMatrix) {
      pack_four_rows(weights, *tensor.plan, sink);
      scale_ = single_scale(weights);  // which follows
    } else {
      encode_matrix(weights, *tensor.plan, sink);
    }
    source_.release(spec);
  }

  // By which transformers multiplies the bias of a packed map; 1 for any other vector.
  float scale_of_bias(const TensorSpec& spec) const {
    const std::string weight = weight_of_bias(spec.hf_name);
    for (const PlannedTensor& tensor : plan_.tensors) {
      if (weight.empty() || tensor.spec.hf_name != weight || !tensor.packed) continue;
      WeightStorage storage;
      return single_scale(source_.matrix(tensor.spec, storage));
    }
    return 1.0f;
  }

  void count(const HfTensor& tensor, uint64_t bytes) {
    ++report_.tensors;
    report_.bytes += bytes;
    if (tensor.plan != nullptr && tensor.plan->is_linear) linear_bytes_ += bytes;
  }

  void write_index(const fs::path& directory) const {
    Json weight_map = Json::object();
    for (size_t i = 0; i < shards_.size(); ++i) {
      for (const HfTensor& tensor : shards_[i]) weight_map[tensor.name] = file_name(i);
    }
    const Json index = {{"metadata", {{"total_size", report_.bytes}}}, {"weight_map", weight_map}};
    write_text_file(directory / "model.safetensors.index.json", index.dump(2) + "\n");
  }

  void write_tokenizer(const fs::path& directory) {
    try {
      if (std::string_view(source_.format()) == "hf") {
        copy_tokenizer_files(source_.path(), directory);
      } else {
        write_new_tokenizer(directory);
      }
    } catch (const Error& error) {
      report_.tokenizer_note = error.what();
    }
  }

  // From a GGUF file's vocabulary.
  void write_new_tokenizer(const fs::path& directory) {
    const std::optional<Tokenizer> tokenizer = source_.load_tokenizer(report_.tokenizer_note);
    if (!tokenizer) return;
    tokenizer->write_files(directory);
    const std::optional<ChatTemplateSource> source = source_.chat_template();
    if (source) write_chat_template(*source, directory);
  }

  const WeightSource& source_;
  const ConvertPlan& plan_;
  std::vector<std::vector<HfTensor>> shards_;
  ConvertReport report_;
  uint64_t linear_bytes_ = 0;
  float scale_ = 1.0f;  // of the packed matrix written last
};

}  // namespace

ConvertReport write_hf(const WeightSource& source, const ConvertPlan& plan, const fs::path& target,
                       uint64_t max_shard_bytes, const ConvertProgress& progress,
                       const std::atomic<bool>* stop) {
  ConvertSteps steps(plan, progress, stop);
  NewDirectory directory(target);
  ConvertReport report = HfConverter(source, plan, max_shard_bytes).run(directory.path(), steps);
  directory.commit();
  return report;
}

}  // namespace tercet
