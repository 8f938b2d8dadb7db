// SPDX-License-Identifier: Apache-2.0
#include "model/hf_source.h"

#include <algorithm>
#include <cmath>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "formats/json.h"
#include "model/tensor_weights.h"

namespace tercet {
namespace fs = std::filesystem;

namespace {

constexpr const char* kTokenizerFile = "tokenizer.model";

// HF stores every matrix of a model in half-split order.
constexpr RopeOrder kHfOrder = RopeOrder::kHalfSplit;

std::string model_type(const HfModel& model) {
  const Json json = model_config_to_json(model.config());
  return json.value("model_type", "unknown");
}

LinearWeights pack_latent(const TensorView& tensor, const TensorSpec& spec,
                          const fs::path& directory, WeightStorage& storage) {
  const std::vector<float> latent = to_f32(tensor);
  if (!std::all_of(latent.begin(), latent.end(), [](float w) { return std::isfinite(w); })) {
    fail(ErrorCode::kBadInput,
         "{}: tensor '{}' holds a weight that is not a finite number; the training run diverged "
         "or the file is damaged",
         directory.string(), spec.hf_name);
  }
  storage.bytes.push_back(packing::encode_own(
      packing::Layout::kTrit4, packing::quantize_absmean(latent, spec.rows, spec.cols)));
  return own_weights(spec.hf_name, storage.bytes.back(), spec, directory.string());
}

}  // namespace

HfSource::HfSource(const fs::path& directory) : HfSource(HfModel(directory)) {}

HfSource::HfSource(HfModel model)
    : WeightSource(model.directory(), model.config(), kHfOrder, model_type(model)),
      model_(std::move(model)) {}

std::string HfSource::display_name() const {
  std::error_code ignored;
  const fs::path full = fs::weakly_canonical(path(), ignored);
  return full.has_filename() ? full.filename().string() : full.parent_path().filename().string();
}

LinearWeights HfSource::matrix(const TensorSpec& spec, WeightStorage& storage) const {
  const TensorView& tensor = model_.tensor(spec.hf_name);
  if (spec.low_bit) return pack_latent(tensor, spec, path(), storage);
  return dense_weights(tensor, spec, path().string());
}

std::vector<float> HfSource::vector(const TensorSpec& spec) const {
  if (spec.hf_name.empty()) return llama3_frequency_factors(config());
  std::vector<float> values = dense_vector(model_.tensor(spec.hf_name), spec, path().string());
  for (float& value : values) value += spec.hf_offset;
  return values;
}

uint64_t HfSource::stored_bytes(const TensorSpec& spec) const {
  return spec.hf_name.empty() ? 0 : model_.tensor(spec.hf_name).bytes.size();
}

std::string HfSource::stored_type_name(const TensorSpec& spec) const {
  return spec.hf_name.empty() ? "computed" : to_string(model_.tensor(spec.hf_name).type);
}

ScaleReach HfSource::scale_reach(const TensorSpec& spec) const {
  return {packing::ScaleScope::kTensor, spec.cols};
}

std::optional<Tokenizer> HfSource::load_tokenizer(std::string& note) const {
  std::error_code ignored;
  if (!fs::exists(path() / kTokenizerFile, ignored)) {
    note = fs::exists(path() / "tokenizer.json", ignored)
               ? "the directory has a tokenizer.json, which this version does not read, and no "
                 "tokenizer.model"
               : "the directory holds no tokenizer.model";
    return std::nullopt;
  }
  Tokenizer tokenizer = Tokenizer::load(path() / kTokenizerFile);
  check_tokenizer(tokenizer);
  return tokenizer;
}

bool HfSource::write_tokenizer(GgufWriter& writer) const {
  std::string note;
  const std::optional<Tokenizer> tokenizer = load_tokenizer(note);
  if (tokenizer) tokenizer->write_gguf(writer);
  return tokenizer.has_value();
}

}  // namespace tercet
