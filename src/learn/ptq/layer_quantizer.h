// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "learn/dist/team.h"
#include "learn/ptq/low_bit_matrix.h"
#include "learn/ptq/moments.h"
#include "learn/ptq/token_weights.h"

namespace tercet::learn {

enum class PtqMethod { kAbsmean, kTwn, kGrid, kGptq, kPt2Llm, kArb, kSvid, kPtBitnet };
// "absmean", "twn", "grid", "gptq", "pt2-llm", "arb", "svid", "pt-bitnet". Throws kUsage.
PtqMethod parse_ptq_method(const std::string& text);
const char* to_string(PtqMethod method);
std::string ptq_method_names();
// Whether the method looks at activations at all.
bool needs_calibration(PtqMethod method);
// Whether runtime's packed types can hold the result: ternary, no shift, no column scales.
bool is_packable(PtqMethod method);

// What is done to one linear map. The defaults are those of pt-bitnet.
struct LayerOptions {
  PtqMethod method = PtqMethod::kPtBitnet;
  Grouping grouping;
  int grid_points = 20;
  bool hessian = true;    // thresholds and scales weighted by the Hessian
  bool feedback = false;  // GPTQ between the thresholds and the flips
  int flip_rounds = 20;   // 0: none
  TokenWeights token_weights = TokenWeights::kResidual;
  double equalization = 0;  // exponent of equalize(), 0: none
  double cross_term = 0.5;  // gamma of layer_target()
  double shrinkage = 0.1;   // lambda of layer_target(); below 0: chosen on held-out moments
};
// The options of a method before a user changes them.
LayerOptions default_layer_options(PtqMethod method);

// The error against the target after a stage, see relative_error().
struct StageError {
  std::string stage;
  double error = 0;
};

struct LayerResult {
  LowBitMatrix matrix;
  std::vector<StageError> stages;
  double shrinkage = 0;  // that was used
};

// Quantizes one linear map: weight [rows, cols] f32. `fit` may have no moments for methods that
// need none; held_out is looked at where the shrinkage is chosen and by the flips' stopping, and
// may be empty (tokens 0). Moments that are moved here are let go as soon as they are
// used. `name` stands in errors. The ranks of `team` have other rows of the map:
// what is decided for all rows is decided with theirs, and the errors of stages are those of all.
LayerResult quantize_layer(const at::Tensor& weight, Moments fit, const Moments& held_out,
                           const LayerOptions& options, const std::string& name, Team team = {});

}  // namespace tercet::learn
