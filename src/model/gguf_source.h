// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>

#include "formats/gguf.h"
#include "model/tensor_weights.h"
#include "model/weight_source.h"

namespace tercet {

// A GGUF file. Opening checks that it holds the tensors of its architecture and no others.
class GgufSource final : public WeightSource {
 public:
  explicit GgufSource(const std::filesystem::path& path, const OpenOptions& options = {});
  explicit GgufSource(GgufFile file, const OpenOptions& options = {});

  const char* format() const override { return "gguf"; }
  uint64_t file_bytes() const override { return file_.file_bytes(); }
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

  const GgufFile& file() const { return file_; }

 private:
  void check_tensor_names() const;
  bool is_own_payload(const TensorView& tensor) const;
  const TensorView* sidecar(const TensorSpec& spec) const;

  GgufFile file_;
  std::set<std::string> own_tensors_;  // names from kLowBitTensorsKey
  I2SOrder i2s_order_;
};

}  // namespace tercet
