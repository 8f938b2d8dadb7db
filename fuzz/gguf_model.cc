// SPDX-License-Identifier: Apache-2.0
// A GGUF file as a model: configuration, the tensors of its architecture, tokenizer, every weight.
#include "model/gguf_model.h"

#include <memory>

#include "fuzz/target.h"
#include "model/gguf_source.h"
#include "model/linear.h"

namespace tercet::fuzz {
namespace {

void read_matrix(const WeightSource& source, const TensorSpec& spec) {
  WeightStorage storage;
  const LinearWeights weights = source.matrix(spec, storage);
  require(weights.rows == spec.rows && weights.cols == spec.cols, "a matrix has its shape");
  if (is_ternary(weights.type)) {
    const packing::TernaryMatrix matrix = decode_ternary(weights);
    require(matrix.codes.size() == static_cast<size_t>(spec.rows * spec.cols),
            "every code is there");
    return;
  }
  std::vector<float> row(static_cast<size_t>(spec.cols));
  for (int64_t r = 0; r < spec.rows; ++r) decode_row(weights, r, row.data());
}

void read_model(std::span<const uint8_t> bytes) {
  const GgufSource source(GgufFile(bytes, "fuzz.gguf"));
  for (const TensorSpec& spec : tensor_specs(source.config())) {
    accept_or_refuse([&] {
      if (spec.rows == 0) {
        require(source.vector(spec).size() == static_cast<size_t>(spec.cols),
                "a norm has its size");
      } else {
        read_matrix(source, spec);
      }
      (void)source.stored_type_name(spec);
      require(source.stored_bytes(spec) <= bytes.size(), "a tensor is smaller than its file");
    });
  }
  std::string note;
  (void)source.load_tokenizer(note);
}

}  // namespace
}  // namespace tercet::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tercet::fuzz::accept_or_refuse([&] { tercet::fuzz::read_model({data, size}); });
  return 0;
}
