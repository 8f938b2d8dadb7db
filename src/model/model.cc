// SPDX-License-Identifier: Apache-2.0
#include "model/model.h"

#include <utility>

#include "core/error.h"

namespace tercet {
namespace {

// What the configuration says about the inputs of a map, if its weights fit.
void set_input_form(const ModelConfig& config, const TensorSpec& spec, const std::string& origin,
                    LinearWeights& matrix) {
  if (!config.variants.any() || !spec.gguf_name.starts_with("blk.")) return;
  if (!matrix.int8_activations) {
    fail(ErrorCode::kUnsupported,
         "{}: tensor '{}' is {}; in a model with activation_bits, hadamard or other variants of "
         "BitNet, linear maps must be ternary or binary",
         origin, matrix.name, to_string(matrix.type));
  }
  matrix.input = input_form(config, spec.gguf_name, spec.cols);
  if (matrix.input.groups == 1) return;
  const int64_t width = spec.cols / matrix.input.groups;
  if (matrix.scope == packing::ScaleScope::kGroup && matrix.group_size == width) return;
  fail(ErrorCode::kBadInput,
       "{}: tensor '{}' has no scale for each {} columns, as its {} groups of inputs need", origin,
       matrix.name, width, matrix.input.groups);
}

}  // namespace

Model::Model(std::unique_ptr<WeightSource> source) : source_(std::move(source)) {
  weights_.layers.resize(static_cast<size_t>(config().num_hidden_layers));
  for (const TensorSpec& spec : tensor_specs(config())) {
    const WeightSlot slot = find_slot(weights_, spec.gguf_name);
    if (slot.vector != nullptr) {
      *slot.vector = source_->vector(spec);
    } else {
      // What stands at the input, listed before its matrix, is there already.
      LinearWeights matrix = source_->matrix(spec, storage_);
      matrix.input_norm = std::move(slot.matrix->input_norm);
      matrix.input_scale = std::move(slot.matrix->input_scale);
      set_input_form(config(), spec, path().string(), matrix);
      *slot.matrix = std::move(matrix);
    }
  }
  for (const float factor : weights_.rope_factors) {
    if (factor > 0.0f) continue;
    fail(ErrorCode::kBadInput, "{}: a rotary frequency factor is {}; they must be positive",
         path().string(), factor);
  }
  if (config().tie_word_embeddings) weights_.head = weights_.embedding;
  tokenizer_ = source_->load_tokenizer(tokenizer_note_);
}

Model Model::load(const std::filesystem::path& path, const OpenOptions& options) {
  return Model(WeightSource::open(path, options));
}

}  // namespace tercet
