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

std::set<std::string> own_tensor_names(const GgufFile& file) {
  if (file.find(kLowBitTensorsKey) == nullptr) return {};
  const std::vector<std::string>& names = file.strings(kLowBitTensorsKey);
  return {names.begin(), names.end()};
}

}  // namespace

GgufSource::GgufSource(const std::filesystem::path& path) : GgufSource(GgufFile(path)) {}

GgufSource::GgufSource(GgufFile file)
    : WeightSource(file.path(), config_from_gguf(file),
                   rope_order_of(file.string("general.architecture")),
                   file.string("general.architecture")),
      file_(std::move(file)),
      own_tensors_(own_tensor_names(file_)) {
  check_tensor_names();
}

// A tensor that Forward does not know, such as a bias, would change the result if it were used.
void GgufSource::check_tensor_names() const {
  std::set<std::string> known;
  for (const TensorSpec& spec : tensor_specs(config())) {
    known.insert(spec.gguf_name);
    if (spec.low_bit) known.insert(scale_tensor_name(spec.gguf_name));
    file_.tensor(spec.gguf_name);
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
  return spec.low_bit ? file_.find_tensor(scale_tensor_name(spec.gguf_name)) : nullptr;
}

LinearWeights GgufSource::matrix(const TensorSpec& spec, WeightStorage& storage) const {
  const TensorView& tensor = file_.tensor(spec.gguf_name);
  const std::string origin = path().string();
  if (!spec.low_bit) return dense_weights(tensor, spec, origin);
  if (is_own_payload(tensor)) return own_weights(tensor.name, tensor.bytes, spec, origin);
  return block_weights(tensor, sidecar(spec), spec, origin, storage);
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
  if (!spec.low_bit || !is_own_payload(tensor)) return to_string(tensor.type);
  WeightStorage unused;
  return to_string(matrix(spec, unused).type);
}

ScaleReach GgufSource::scale_reach(const TensorSpec& spec) const {
  WeightStorage unused;
  const LinearWeights weights = matrix(spec, unused);
  return {weights.scope, weights.group_size};
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

}  // namespace tercet
