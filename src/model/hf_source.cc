// SPDX-License-Identifier: Apache-2.0
#include "model/hf_source.h"

#include <algorithm>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "formats/json.h"
#include "model/hf_ternary.h"
#include "model/tensor_weights.h"

namespace tercet {
namespace fs = std::filesystem;

namespace {

// HF stores every matrix of a model in half-split order.
constexpr RopeOrder kHfOrder = RopeOrder::kHalfSplit;

std::string model_type(const HfModel& model) {
  const Json json = model_config_to_json(model.config());
  return json.value("model_type", "unknown");
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
  const std::string origin = path().string();
  if (is_given_ternary(spec)) {
    return pack_given(tensor, spec, *model_.ternary_storage().given, origin, storage);
  }
  if (!spec.low_bit) return matrix_weights(tensor, {}, spec, origin, storage);
  const HfTernaryStorage& form = model_.ternary_storage();
  if (!form.packed) {
    return quantize_latent(tensor, spec, config().linear, config().variants.quant_groups, origin,
                           storage);
  }
  const TensorView& scale = model_.tensor(packed_scale_name(spec.hf_name));
  const auto read = tensor.type == DType::kU8 ? unpack_four_rows : pack_float_codes;
  return read(tensor, scale, form.reciprocal_scale, spec, origin, storage);
}

// Whether the map's weights are codes times scales already.
bool HfSource::is_given_ternary(const TensorSpec& spec) const {
  const std::optional<GivenTernary>& given = model_.ternary_storage().given;
  if (!given || spec.rows == 0 || !spec.gguf_name.starts_with("blk.")) return false;
  constexpr std::string_view kWeight = ".weight";
  const std::string module = spec.hf_name.substr(0, spec.hf_name.size() - kWeight.size());
  return !std::binary_search(given->dense_maps.begin(), given->dense_maps.end(), module);
}

MatrixForm HfSource::matrix_form(const TensorSpec& spec) const {
  if (is_given_ternary(spec)) {
    // Scales are magnitudes of the values.
    return {StoredType::kTrit4, given_reach(*model_.ternary_storage().given, spec.cols),
            model_.tensor(spec.hf_name).type == DType::kF16};
  }
  const int64_t groups = config().variants.quant_groups;
  const auto scope = groups > 1 ? packing::ScaleScope::kGroup : packing::ScaleScope::kTensor;
  if (spec.low_bit) return {StoredType::kTrit4, {scope, spec.cols / groups}};
  WeightStorage unused;
  return {matrix(spec, unused).type, {}};
}

void HfSource::release(const TensorSpec& spec) const {
  if (!spec.hf_name.empty()) model_.release(model_.tensor(spec.hf_name));
}

std::vector<float> HfSource::vector(const TensorSpec& spec) const {
  if (spec.hf_name.empty()) return llama3_frequency_factors(config());
  std::vector<float> values = dense_vector(model_.tensor(spec.hf_name), spec, path().string());
  for (float& value : values) value += spec.hf_offset;
  if (const TensorView* scale = scale_of_bias(spec)) {
    const float factor = to_f32(*scale).at(0);
    for (float& value : values) value *= factor;
  }
  return values;
}

// transformers' AutoBitLinear multiplies its bias by the scale of the packed weights too.
const TensorView* HfSource::scale_of_bias(const TensorSpec& spec) const {
  const HfTernaryStorage& form = model_.ternary_storage();
  const std::string weight = weight_of_bias(spec.hf_name);
  if (!form.packed || form.reciprocal_scale || weight.empty()) return nullptr;
  const TensorView* scale = model_.find_tensor(packed_scale_name(weight));
  if (scale == nullptr || scale->elements() == 1) return scale;
  fail(ErrorCode::kBadInput, "{}: tensor '{}' must be one scale, it has {}", path().string(),
       scale->name, scale->elements());
}

uint64_t HfSource::stored_bytes(const TensorSpec& spec) const {
  if (spec.hf_name.empty()) return 0;
  const TensorView* scale =
      spec.low_bit ? model_.find_tensor(packed_scale_name(spec.hf_name)) : nullptr;
  return model_.tensor(spec.hf_name).bytes.size() + (scale != nullptr ? scale->bytes.size() : 0);
}

std::string HfSource::stored_type_name(const TensorSpec& spec) const {
  if (spec.hf_name.empty()) return "computed";
  if (spec.low_bit && model_.ternary_storage().packed) return "packed";
  return to_string(model_.tensor(spec.hf_name).type);
}

std::optional<Tokenizer> HfSource::load_tokenizer(std::string& note) const {
  std::error_code ignored;
  if (!fs::exists(path() / "tokenizer.json", ignored) &&
      !fs::exists(path() / "tokenizer.model", ignored)) {
    note = "the directory holds neither tokenizer.json nor tokenizer.model";
    return std::nullopt;
  }
  // Logits need no tokenizer, so one of a kind that is not read yet does not bar the model.
  try {
    Tokenizer tokenizer = Tokenizer::load(path());
    check_tokenizer(tokenizer);
    return tokenizer;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUnsupported) throw;
    note = error.what();
    return std::nullopt;
  }
}

bool HfSource::write_tokenizer(GgufWriter& writer) const {
  std::string note;
  const std::optional<Tokenizer> tokenizer = load_tokenizer(note);
  if (tokenizer) tokenizer->write_gguf(writer);
  if (const auto source = chat_template()) write_chat_template(*source, writer);
  return tokenizer.has_value();
}

std::optional<ChatTemplateSource> HfSource::chat_template() const {
  return find_chat_template(path());
}

}  // namespace tercet
