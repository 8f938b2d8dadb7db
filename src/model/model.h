// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "formats/model_config.h"
#include "model/rope.h"
#include "model/weight_source.h"
#include "model/weights.h"
#include "tokenizer/tokenizer.h"

namespace tercet {

// A model ready to run: configuration, weights and tokenizer, with the mapped files behind them.
// Immutable; safe to share between threads. Move-only.
class Model {
 public:
  // `path`: a GGUF file or an HF model directory. Latent weights of a b1.58 HF directory are
  // quantized (absmean per tensor) and packed to trit4 in memory, and so are packed directories;
  // everything else stays as stored.
  // Throws kIo when `path` is missing, kBadInput / kUnsupported naming file and field otherwise.
  static Model load(const std::filesystem::path& path, const OpenOptions& options = {});
  // The same of a source that is open already.
  static Model load(std::unique_ptr<WeightSource> source) { return Model(std::move(source)); }

  const std::filesystem::path& path() const { return source_->path(); }
  const ModelConfig& config() const { return source_->config(); }
  const ModelWeights& weights() const { return weights_; }
  RopeOrder rope_order() const { return source_->rope_order(); }
  // What the weights were read from.
  const WeightSource& source() const { return *source_; }

  // nullptr when the model has none that this version reads; tokenizer_note() then says why.
  const Tokenizer* tokenizer() const { return tokenizer_ ? &*tokenizer_ : nullptr; }
  const std::string& tokenizer_note() const { return tokenizer_note_; }

 private:
  explicit Model(std::unique_ptr<WeightSource> source);

  std::unique_ptr<WeightSource> source_;
  WeightStorage storage_;
  ModelWeights weights_;
  std::optional<Tokenizer> tokenizer_;
  std::string tokenizer_note_;
};

}  // namespace tercet
