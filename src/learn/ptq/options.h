// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "formats/json.h"
#include "formats/model_config.h"
#include "learn/ptq/block_training.h"
#include "learn/ptq/end_to_end.h"
#include "learn/ptq/layer_quantizer.h"
#include "learn/ptq/stored_matrix.h"
#include "packing/ternary.h"

namespace tercet::learn {

// One quantization of a whole model.
struct PtqOptions {
  std::filesystem::path source;        // an HF directory in full precision
  std::filesystem::path out;           // the HF directory to write
  std::filesystem::path calibration;   // text; empty for methods that need none
  int64_t calibration_tokens = kAuto;  // 0: all
  int64_t context = 0;                 // positions of a window; 0: the model's own, 512 at most
  bool cut_documents = false;          // to one window, instead of into several
  double held_out = 0;                 // share of the windows that only judges
  std::string only;              // regular expression for HF module names; empty: all linear maps
  bool int8_activations = true;  // W1.58A8 instead of A16
  // Of ternary maps in the GGUF file that will be made; empty: no file, or one of a type that holds
  // any shape.
  std::optional<packing::Layout> layout;
  RestTypes rest;  // of the GGUF file that will be made; what is measured goes by it
  LayerOptions layer;
  BlockTrainingOptions block_training;  // steps 0: layers are quantized one by one instead
  EndToEndOptions end_to_end;           // the last pass, over the whole model
  // Whether matrix products are taken in bf16, and not in f32: those of all training and, in
  // pt-bitnet, of the passes from block to block and of second moments where that is safe.
  bool uses_bf16 = true;
  uint64_t max_memory = 0;  // bytes, for all ranks of a machine; 0: half of what the machine has
  int threads = 0;          // 0: physical cores
  bool resume = false;
  std::filesystem::path evaluation;  // text for perplexity and KL; empty: none
  int64_t evaluation_tokens = 0;     // 0: all
  int64_t evaluation_context = 0;    // 0: the model's own, 2048 at most

  // Whether blocks are trained again when all are quantized.
  bool changes_blocks_later() const { return block_training.sweeps > 0 || end_to_end.steps > 0; }
  bool products_in_bf16() const { return uses_bf16 && layer.method == PtqMethod::kPtBitnet; }
  // Sums of rounded products need the diagonal raised to be sure to stay positive definite.
  bool moments_in_bf16() const {
    return products_in_bf16() && layer.shrinkage >= 0.01 && !layer.feedback;
  }
  bool uses_predictions() const {
    return block_training.steps > 0 && block_training.loss == BlockLoss::kPredictions;
  }
};

// Everything that the result depends on, under the names of the options.
Json to_json(const PtqOptions& options);

// Whether anything in a run looks at calibration text.
bool needs_text(const PtqOptions& options);

// Whether the linear map of that HF name is to be quantized.
bool is_chosen(const PtqOptions& options, const std::string& module);

// Throws kUsage naming the option for values that make no sense, and for options that the method
// does not have.
void check(const PtqOptions& options);
// Throws kUsage where text to calibrate on is needed and not given.
void check_calibration(const PtqOptions& options);
// Throws kUsage where `layout` cannot hold the maps of the model.
void check_layout(const PtqOptions& options, const ModelConfig& config);

}  // namespace tercet::learn
