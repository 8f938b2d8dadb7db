// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "formats/hf_model.h"
#include "formats/json.h"
#include "learn/ptq/block.h"
#include "learn/ptq/block_quantizer.h"
#include "learn/ptq/end_to_end.h"
#include "learn/ptq/options.h"
#include "learn/ptq/windows.h"

namespace tercet::learn {

// The HF directory that a quantization writes, block by block. A finished block is one safetensors
// file, which appears whole or not at all; config.json comes last, so that an unfinished directory
// is no model. quantize.json says what the run is and how far it got: "running", "quantized" (the
// model is there, its evaluation or its GGUF file is not) or "complete".
class OutputDirectory {
 public:
  // Makes the directory, or enters that of an unfinished run when options.resume. Throws kUsage
  // when there is something else, another run's work, or nothing to resume.
  OutputDirectory(const PtqOptions& options, const HfModel& source, const std::string& fingerprint);

  // Whether the model of that run is at `path`.
  static bool is_quantized(const std::filesystem::path& path, const std::string& fingerprint);

  // What finish() or amend() was given last, where a run is resumed whose model is there.
  const std::optional<Json>& summary() const { return summary_; }

  // The reports of a block that is finished, in that round over all blocks (0: the first); nothing
  // while it is not.
  std::optional<std::vector<LayerReport>> finished(int64_t layer, int sweep) const;
  // The weights of a finished block, as load_block() gives them.
  BlockWeights read_block(int64_t layer) const;
  // Where training left it, for the next sweep.
  LatentWeights read_latents(int64_t layer) const;
  // Maps as f16, which holds their values exactly; vectors that may have been trained as f32; every
  // other tensor as the source has it.
  void write_block(int64_t layer, int sweep, const BlockWeights& weights,
                   const LatentWeights& latents, const std::vector<LayerReport>& reports) const;
  // A block as sweeps and the last pass over the whole model left it.
  void write_trained_block(int64_t layer, const BlockWeights& weights) const;
  // Where the last pass stands; nothing before its first state is written.
  void write_tuning(const EndToEndState& state) const;
  std::optional<EndToEndState> read_tuning() const;
  // Embedding, final norm (defined if it was trained) and head, the index, tokenizer files, and
  // config.json with the mark that says what is ternary. `summary` becomes part of quantize.json.
  void finish(const Json& summary, const at::Tensor& final_norm) const;
  // Adds what came out after finish(); is_complete when nothing is to follow.
  void amend(const Json& summary, bool is_complete) const;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::string shard_name(int64_t layer) const;
  std::string block_name(int64_t layer) const;
  bool changes_vectors() const;
  // A tensor of the source under its name, or one that is owned here.
  struct Piece {
    TensorView view;
    at::Tensor owned;
  };
  std::vector<Piece> pieces_of(int64_t layer, const BlockWeights& weights) const;
  void write_pieces(const std::filesystem::path& path, const std::vector<Piece>& pieces,
                    std::map<std::string, std::string> metadata) const;
  void write_state(const char* status, const Json& summary) const;
  void write_rest(const at::Tensor& final_norm) const;
  void write_index() const;
  void write_config() const;
  void discard_unfinished() const;

  std::filesystem::path path_;
  const HfModel& source_;
  const PtqOptions& options_;
  std::string fingerprint_;
  std::optional<Json> summary_;
};

// What the run depends on, as a short text: the source's configuration and weights, the calibration
// tokens, the options.
std::string fingerprint_of(const HfModel& source, const Windows& windows, const Json& options);

}  // namespace tercet::learn
