// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formats/model_config.h"
#include "model/rope.h"
#include "model/weights.h"
#include "tokenizer/tokenizer.h"

namespace tercet {

class GgufWriter;

struct ScaleReach {
  packing::ScaleScope scope = packing::ScaleScope::kTensor;
  int64_t group_size = 0;  // columns per scale; all of them unless kGroup
};

// A model as files hold it, read tensor by tensor: what loading, conversion and inspection have in
// common. Two forms, one interface.
class WeightSource {
 public:
  // A GGUF file or an HF directory, told apart by looking. Throws kIo when `path` is missing,
  // kBadInput when it is neither.
  static std::unique_ptr<WeightSource> open(const std::filesystem::path& path);

  virtual ~WeightSource();
  WeightSource(const WeightSource&) = delete;
  WeightSource& operator=(const WeightSource&) = delete;

  const std::filesystem::path& path() const { return path_; }
  const ModelConfig& config() const { return config_; }
  // Order of the rows of q and k.
  RopeOrder rope_order() const { return rope_order_; }
  // The GGUF architecture name, or the model_type of an HF directory.
  const std::string& architecture() const { return architecture_; }
  // "gguf" or "hf".
  virtual const char* format() const = 0;
  virtual uint64_t file_bytes() const = 0;
  // A short name of the model for people.
  virtual std::string display_name() const = 0;

  // One matrix, ready to run: ternary in a ternary layout where `spec.low_bit`, dense elsewhere. It
  // views this source or `storage`. Throws kBadInput / kUnsupported naming file and tensor.
  virtual LinearWeights matrix(const TensorSpec& spec, WeightStorage& storage) const = 0;
  // One norm vector, [spec.cols].
  virtual std::vector<float> vector(const TensorSpec& spec) const = 0;
  // Bytes that the tensor takes as stored in the files, scales included, and its element type.
  virtual uint64_t stored_bytes(const TensorSpec& spec) const = 0;
  virtual std::string stored_type_name(const TensorSpec& spec) const = 0;
  // How far the scales of a low-bit matrix reach once it is ternary.
  virtual ScaleReach scale_reach(const TensorSpec& spec) const = 0;

  // Empty when there is none that this version reads; `note` then says why in a clause such as
  // "the directory holds no tokenizer.model". Throws kBadInput when it is damaged or larger than
  // the model's vocabulary.
  virtual std::optional<Tokenizer> load_tokenizer(std::string& note) const = 0;
  // Puts the tokenizer into a GGUF file; false when there is none.
  virtual bool write_tokenizer(GgufWriter& writer) const = 0;

 protected:
  WeightSource(std::filesystem::path path, ModelConfig config, RopeOrder rope_order,
               std::string architecture);
  // Throws kBadInput unless the tokenizer fits the vocabulary.
  void check_tokenizer(const Tokenizer& tokenizer) const;

 private:
  std::filesystem::path path_;
  ModelConfig config_;
  RopeOrder rope_order_;
  std::string architecture_;
};

}  // namespace tercet
