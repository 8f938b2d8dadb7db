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
#include "learn/ptq/options.h"

namespace tercet::learn {

// The HF directory that a quantization writes, block by block. A finished block is one safetensors
// file, which appears whole or not at all; config.json comes last, so that an unfinished directory
// is no model. quantize.json says what the run is and how far it got.
class OutputDirectory {
 public:
  // Makes the directory, or enters that of an unfinished run when options.resume. Throws kUsage
  // when there is something else, another run's work, or nothing to resume.
  OutputDirectory(const PtqOptions& options, const HfModel& source, const std::string& fingerprint);

  // Whether the finished model of that run is at `path`.
  static bool is_complete(const std::filesystem::path& path, const std::string& fingerprint);

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
  // Embedding, final norm (defined if it was trained) and head, the index, tokenizer files, and
  // config.json with the mark that says what is ternary. `summary` becomes part of quantize.json.
  void finish(const Json& summary, const at::Tensor& final_norm) const;
  // Adds what came out after finish().
  void amend(const Json& summary) const;

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

  std::filesystem::path path_;
  const HfModel& source_;
  const PtqOptions& options_;
  std::string fingerprint_;
};

// What the run depends on, as a short text: the source's configuration and weights, the calibration
// tokens, the options.
std::string fingerprint_of(const HfModel& source, const std::vector<std::vector<int32_t>>& windows,
                           const Json& options);

Json to_json(const LayerReport& report);
LayerReport layer_report_from_json(const Json& json);

// Whether `module` is to be quantized.
bool is_chosen(const PtqOptions& options, const std::string& module);

}  // namespace tercet::learn
