// SPDX-License-Identifier: Apache-2.0
#include "model/gguf_source.h"

#include <utility>

#include "core/error.h"
#include "formats/printable.h"
#include "model/gguf_model.h"
#include "model/tensor_weights.h"

namespace tercet {
namespace {

constexpr const char* kTokenizerModelKey = "tokenizer.ggml.model";
constexpr std::string_view kTokenizerPrefix = "tokenizer.";

bool takes_sidecar(const TensorView& tensor) {
  const std::optional<StoredType> type = stored_type(tensor.type);
  return type && has_scale_tensor(*type);
}

std::set<std::string> own_tensor_names(const GgufFile& file) {
  if (file.find(kLowBitTensorsKey) == nullptr) return {};
  const std::vector<std::string>& names = file.strings(kLowBitTensorsKey);
  return {names.begin(), names.end()};
}

I2SOrder order_of(const GgufFile& file, const OpenOptions& options) {
  const int64_t block =
      options.i2s_block != 0 ? options.i2s_block : file.integer_or(kI2SBlockKey, 128);
  if (block == 128) return I2SOrder::kWide;
  if (block == 64) return I2SOrder::kNarrow;
  fail(ErrorCode::kBadInput, "{}: {} is {}; 128 or 64 is expected", file.path().string(),
       kI2SBlockKey, block);
}

}  // namespace

GgufSource::GgufSource(const std::filesystem::path& path, const OpenOptions& options)
    : GgufSource(GgufFile(path), options) {}

GgufSource::GgufSource(GgufFile file, const OpenOptions& options)
    : WeightSource(file.path(), config_from_gguf(file),
                   rope_order_of(file.string("general.architecture")),
                   file.string("general.architecture")),
      file_(std::move(file)),
      own_tensors_(own_tensor_names(file_)),
      i2s_order_(order_of(file_, options)) {
  check_tensor_names();
}

// A tensor that Forward does not know, such as a bias, would change the result if it were used.
void GgufSource::check_tensor_names() const {
  std::set<std::string> known;
  for (const TensorSpec& spec : tensor_specs(config())) {
    known.insert(spec.gguf_name);
    const TensorView& tensor = file_.tensor(spec.gguf_name);
    if (takes_sidecar(tensor)) known.insert(scale_tensor_name(spec.gguf_name));
  }
  for (const TensorView& tensor : file_.tensors()) {
    if (known.contains(tensor.name)) continue;
    fail(ErrorCode::kUnsupported,
         "{}: tensor '{}' does not belong to a {} model as this version runs it", path().string(),
         printable(tensor.name), architecture());
  }
}

std::string GgufSource::display_name() const {
  return file_.string_or("general.name", path().stem().string());
}

bool GgufSource::is_own_payload(const TensorView& tensor) const {
  return tensor.type == DType::kI8 && own_tensors_.contains(tensor.name);
}

const TensorView* GgufSource::sidecar(const TensorSpec& spec) const {
  if (!takes_sidecar(file_.tensor(spec.gguf_name))) return nullptr;
  return file_.find_tensor(scale_tensor_name(spec.gguf_name));
}

LinearWeights GgufSource::matrix(const TensorSpec& spec, WeightStorage& storage) const {
  const TensorView& tensor = file_.tensor(spec.gguf_name);
  const std::string origin = path().string();
  if (is_own_payload(tensor)) return own_weights(tensor.name, tensor.bytes, spec, origin, storage);
  return matrix_weights(tensor, {sidecar(spec), i2s_order_}, spec, origin, storage);
}

MatrixForm GgufSource::matrix_form(const TensorSpec& spec) const {
  WeightStorage unused;
  const LinearWeights weights = matrix(spec, unused);
  if (!is_ternary(weights.type)) return {weights.type, {}};
  return {weights.type, effective_reach(TernaryRows(weights)), weights.half_scales};
}

void GgufSource::release(const TensorSpec& spec) const {
  file_.release(file_.tensor(spec.gguf_name));
}

std::vector<float> GgufSource::vector(const TensorSpec& spec) const {
  return dense_vector(file_.tensor(spec.gguf_name), spec, path().string());
}

uint64_t GgufSource::stored_bytes(const TensorSpec& spec) const {
  const TensorView* scale = sidecar(spec);
  return file_.tensor(spec.gguf_name).bytes.size() + (scale != nullptr ? scale->bytes.size() : 0);
}

std::string GgufSource::stored_type_name(const TensorSpec& spec) const {
  const TensorView& tensor = file_.tensor(spec.gguf_name);
  if (is_own_payload(tensor)) {
    return to_string(packing::own_layout(tensor.bytes, path().string() + ": " + tensor.name));
  }
  if (tensor.type == DType::kI2S && i2s_order_ == I2SOrder::kNarrow) {
    return to_string(StoredType::kI2S64);
  }
  return to_string(tensor.type);
}

std::optional<Tokenizer> GgufSource::load_tokenizer(std::string& note) const {
  if (file_.find(kTokenizerModelKey) == nullptr) {
    note = "the file holds no tokenizer";
    return std::nullopt;
  }
  // Logits need no tokenizer, so one of a kind that is not read yet does not bar the model.
  try {
    Tokenizer tokenizer = Tokenizer::from_gguf(file_);
    check_tokenizer(tokenizer);
    return tokenizer;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUnsupported) throw;
    note = error.what();
    return std::nullopt;
  }
}

// Copied key by key, so that what this version does not read survives too.
bool GgufSource::write_tokenizer(GgufWriter& writer) const {
  for (const auto& [key, value] : file_.metadata()) {
    if (key.starts_with(kTokenizerPrefix)) writer.set(key, value);
  }
  return file_.find(kTokenizerModelKey) != nullptr;
}

std::optional<ChatTemplateSource> GgufSource::chat_template() const {
  return find_chat_template(file_);
}

}  // namespace tercet
