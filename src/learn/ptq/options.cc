// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/options.h"

#include <regex>

#include "core/error.h"
#include "packing/row_codes.h"

namespace tercet::learn {

namespace {

Json name_of(const std::optional<DType>& type) {
  return type ? Json(to_string(*type)) : Json("as the source");
}

}  // namespace

Json to_json(const PtqOptions& options) {
  const LayerOptions& layer = options.layer;
  return {{"method", to_string(layer.method)},
          {"group_size", to_string(layer.grouping)},
          {"grid_points", layer.grid_points},
          {"hessian", layer.hessian},
          {"feedback", layer.feedback},
          {"flip_rounds", layer.flip_rounds},
          {"token_weights", to_string(layer.token_weights)},
          {"equalize", layer.equalization},
          {"cross_term", layer.cross_term},
          {"block_steps", options.block_training.steps},
          {"block_tokens", options.block_training.tokens_per_step},
          {"block_loss", to_string(options.block_training.loss)},
          {"sweeps", options.block_training.sweeps},
          {"block_rate", options.block_training.latent_rate},
          {"tune_steps", options.end_to_end.steps},
          {"tune_tokens", options.end_to_end.tokens_per_step},
          {"tune_rate", options.end_to_end.rate},
          {"precision", options.uses_bf16 ? "bf16" : "f32"},
          {"shrinkage", layer.shrinkage < 0 ? Json("auto") : Json(layer.shrinkage)},
          {"calib_tokens", options.calibration_tokens},
          {"ctx", options.context},
          {"cut", options.cut_documents},
          {"held_out", options.held_out},
          {"only", options.only},
          {"embedding_type", name_of(options.rest.embedding)},
          {"head_type", name_of(options.rest.head)},
          {"activations", options.int8_activations ? "int8" : "float"},
          {"threads", options.threads}};
}

void check(const PtqOptions& options) {
  const LayerOptions& layer = options.layer;
  const char* method = to_string(layer.method);
  if (!needs_calibration(layer.method) && layer.cross_term != 0) {
    fail(ErrorCode::kUsage, "{} looks at no activations; leave out --cross-term", method);
  }
  if (options.block_training.steps > 0 && layer.method != PtqMethod::kPtBitnet) {
    fail(ErrorCode::kUsage, "--block-steps is a stage of pt-bitnet, not of {}", method);
  }
  if (options.block_training.sweeps > 0 && options.block_training.steps == 0) {
    fail(ErrorCode::kUsage, "--sweeps train blocks again; give --block-steps too");
  }
  if (options.end_to_end.steps > 0 && !is_packable(layer.method)) {
    fail(ErrorCode::kUsage, "--tune-steps trains one scale per group, {} has more than that",
         method);
  }
  if (!(layer.equalization >= 0 && layer.equalization <= 1)) {
    fail(ErrorCode::kUsage, "--equalize is {}; it lies between 0 and 1", layer.equalization);
  }
  if (layer.cross_term < 0 || layer.cross_term > 1) {
    fail(ErrorCode::kUsage, "--cross-term is {}; it lies between 0 and 1", layer.cross_term);
  }
  if (options.held_out < 0 || options.held_out > 0.5) {
    fail(ErrorCode::kUsage, "--held-out is {}; it lies between 0 and 0.5", options.held_out);
  }
  if (layer.shrinkage < 0 && options.held_out == 0) {
    fail(ErrorCode::kUsage, "--shrinkage auto chooses on held-out text; give --held-out 0.125");
  }
  if (layer.method == PtqMethod::kSvid && layer.grouping.scope != packing::ScaleScope::kRow) {
    fail(ErrorCode::kUsage, "svid has a scale per row and one per column; leave out --group-size");
  }
  const bool shifts = layer.method == PtqMethod::kPt2Llm || layer.method == PtqMethod::kArb;
  if (shifts && layer.grouping.scope == packing::ScaleScope::kTensor) {
    fail(ErrorCode::kUsage, "{} takes rows or groups of columns, not --group-size tensor", method);
  }
  if (options.calibration_tokens > 0 && options.calibration_tokens < 256) {
    fail(ErrorCode::kUsage, "--calib-tokens is {}; give 256 at least, or 0 for all",
         options.calibration_tokens);
  }
  try {
    const std::regex pattern(options.only);
  } catch (const std::regex_error& error) {
    fail(ErrorCode::kUsage, "--only '{}' is no regular expression: {}", options.only, error.what());
  }
}

bool needs_text(const PtqOptions& options) {
  return needs_calibration(options.layer.method) || options.end_to_end.steps > 0 ||
         options.layer.equalization > 0;
}

bool is_chosen(const PtqOptions& options, const std::string& module) {
  return options.only.empty() || std::regex_search(module, std::regex(options.only));
}

void check_layout(const PtqOptions& options, const ModelConfig& config) {
  constexpr size_t kWeight = std::string_view(".weight").size();
  if (!options.layout) return;
  const char* name = to_string(*options.layout);
  const Grouping& grouping = options.layer.grouping;
  const int64_t block = packing::block_codes(*options.layout);
  const bool has_scales = packing::has_block_scales(*options.layout);
  const bool one_scale = block > 1 && !has_scales;
  if (one_scale && grouping.scope != packing::ScaleScope::kTensor) {
    fail(ErrorCode::kUsage,
         "--gguf-type {} has one scale for a whole tensor; use trit5, or --group-size tensor",
         name);
  }
  if (grouping.scope == packing::ScaleScope::kGroup && grouping.size % block != 0) {
    fail(ErrorCode::kUsage,
         "--gguf-type {} has one scale for {} columns, --group-size is {}; use "
         "trit5",
         name, block, grouping.size);
  }
  for (const TensorSpec& spec : tensor_specs(config)) {
    if (spec.rows == 0 || !spec.hf_name.starts_with("model.layers.")) continue;
    const std::string module = spec.hf_name.substr(0, spec.hf_name.size() - kWeight);
    if (spec.cols % block == 0 || !is_chosen(options, module)) continue;
    fail(ErrorCode::kUsage,
         "--gguf-type {} needs rows of a multiple of {}, '{}' has {} columns; use trit5", name,
         block, module, spec.cols);
  }
}

void check_calibration(const PtqOptions& options) {
  if (!options.calibration.empty()) return;
  if (needs_calibration(options.layer.method)) {
    fail(ErrorCode::kUsage, "{} needs text to calibrate on: --calib FILE",
         to_string(options.layer.method));
  }
  if (options.end_to_end.steps > 0) {
    fail(ErrorCode::kUsage, "--tune-steps needs text: --calib FILE");
  }
  if (options.layer.equalization > 0) {
    fail(ErrorCode::kUsage, "--equalize looks at activations and needs text: --calib FILE");
  }
}

}  // namespace tercet::learn
