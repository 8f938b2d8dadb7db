// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "formats/hf_model.h"
#include "model/weight_source.h"

namespace tercet {

// An HF model directory. The matrices of a b1.58 model are latent weights there, which matrix()
// quantizes (absmean per tensor), or packed by transformers, four rows to a byte; either way it
// packs them to trit4 in its storage.
class HfSource final : public WeightSource {
 public:
  explicit HfSource(const std::filesystem::path& directory);

  const char* format() const override { return "hf"; }
  uint64_t file_bytes() const override { return model_.file_bytes(); }
  std::string display_name() const override;
  LinearWeights matrix(const TensorSpec& spec, WeightStorage& storage) const override;
  std::vector<float> vector(const TensorSpec& spec) const override;
  uint64_t stored_bytes(const TensorSpec& spec) const override;
  std::string stored_type_name(const TensorSpec& spec) const override;
  MatrixForm matrix_form(const TensorSpec& spec) const override;
  void release(const TensorSpec& spec) const override;
  std::optional<Tokenizer> load_tokenizer(std::string& note) const override;
  bool write_tokenizer(GgufWriter& writer) const override;
  std::optional<ChatTemplateSource> chat_template() const override;

 private:
  bool is_given_ternary(const TensorSpec& spec) const;
  explicit HfSource(HfModel model);
  const TensorView* scale_of_bias(const TensorSpec& spec) const;

  HfModel model_;
};

}  // namespace tercet
