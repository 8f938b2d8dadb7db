// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/synthetic_shapes.h"
#include "model/weight_source.h"

namespace tercet {

struct SyntheticOptions {
  uint64_t seed = 1;
  // Codes of -1 and +1 only, for types that hold no zeros; else each of -1, 0 and 1 in a third.
  bool binary = false;
};

// Random weights in a given shape, made tensor by tensor when they are asked for: ternary linear
// maps (trit4) whose scales keep activations of the order of one, embedding and head in f16, norms
// of one. OneBit's maps are binary, with scales of rows and columns between 1/2 and 3/2. The same
// shape, seed and kind of codes give the same weights on every machine, whatever they are converted
// to. Its tokenizer knows spaces and single bytes; the rest of the vocabulary are words such as
// "w300".
class SyntheticSource final : public WeightSource {
 public:
  // Rows must be a multiple of 4 long (kInternal otherwise).
  SyntheticSource(const SyntheticShape& shape, const SyntheticOptions& options);

  const char* format() const override { return "synthetic"; }
  uint64_t file_bytes() const override { return 0; }
  std::string display_name() const override;
  LinearWeights matrix(const TensorSpec& spec, WeightStorage& storage) const override;
  std::vector<float> vector(const TensorSpec& spec) const override;
  uint64_t stored_bytes(const TensorSpec& spec) const override;
  std::string stored_type_name(const TensorSpec& spec) const override;
  MatrixForm matrix_form(const TensorSpec& spec) const override;
  void release(const TensorSpec&) const override {}
  std::optional<Tokenizer> load_tokenizer(std::string& note) const override;
  bool write_tokenizer(GgufWriter& writer) const override;
  std::optional<ChatTemplateSource> chat_template() const override { return std::nullopt; }

 private:
  std::string description_;
  SyntheticOptions options_;
  bool binary_;
};

}  // namespace tercet
