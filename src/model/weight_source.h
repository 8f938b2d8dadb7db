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
#include "model/ternary_rows.h"
#include "model/weights.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace tercet {

class GgufWriter;

// What a file does not say about itself.
struct OpenOptions {
  // Order of i2_s blocks, over what the file's `tercet.i2_s.block` says: 128 as on x86, which is
  // taken without either, or 64 as ARM builds of bitnet.cpp have it. 0: as the file says.
  int i2s_block = 0;
};

// The type of a matrix, how far its scales reach (one for the tensor unless it is ternary) and
// whether all of them are known to be f16 numbers.
struct MatrixForm {
  StoredType type = StoredType::kF32;
  ScaleReach reach{};
  bool half_scales = false;
};

// A model as files hold it, read tensor by tensor: what loading, conversion and inspection have in
// common. Two forms, one interface.
class WeightSource {
 public:
  // A GGUF file or an HF directory, told apart by looking. Throws kIo when `path` is missing,
  // kBadInput when it is neither, kUsage for options that no file has.
  static std::unique_ptr<WeightSource> open(const std::filesystem::path& path,
                                            const OpenOptions& options = {});

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

  // One matrix, ready to run in any stored type. It views this source or `storage`. Throws
  // kBadInput / kUnsupported naming file and tensor.
  virtual LinearWeights matrix(const TensorSpec& spec, WeightStorage& storage) const = 0;
  // One norm vector, [spec.cols].
  virtual std::vector<float> vector(const TensorSpec& spec) const = 0;
  // Bytes that the tensor takes as stored in the files, scales included, and its element type.
  virtual uint64_t stored_bytes(const TensorSpec& spec) const = 0;
  virtual std::string stored_type_name(const TensorSpec& spec) const = 0;
  // What matrix() will give, without necessarily making it.
  virtual MatrixForm matrix_form(const TensorSpec& spec) const = 0;
  // Says that the tensor is not needed soon, so that its pages stop counting as memory in use.
  virtual void release(const TensorSpec& spec) const = 0;

  // Empty when there is none that this version reads; `note` then says why in a clause such as
  // "the directory holds no tokenizer.model". Throws kBadInput when it is damaged or larger than
  // the model's vocabulary.
  virtual std::optional<Tokenizer> load_tokenizer(std::string& note) const = 0;
  // Puts the tokenizer into a GGUF file; false when there is none.
  virtual bool write_tokenizer(GgufWriter& writer) const = 0;
  // How conversations are written for this model; nothing when the files do not say. Throws
  // kBadInput naming file and field.
  virtual std::optional<ChatTemplateSource> chat_template() const = 0;

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
