// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/layer_quantizer.h"

#include <ATen/ATen.h>

#include <array>
#include <limits>
#include <utility>

#include "core/error.h"
#include "learn/ptq/binary.h"
#include "learn/ptq/flips.h"
#include "learn/ptq/gptq.h"
#include "learn/ptq/scale_fit.h"
#include "learn/ptq/shifted_ternary.h"
#include "learn/ptq/threshold.h"

namespace tercet::learn {
namespace {

constexpr std::array<std::pair<PtqMethod, const char*>, 8> kNames = {{
    {PtqMethod::kAbsmean, "absmean"},
    {PtqMethod::kTwn, "twn"},
    {PtqMethod::kGrid, "grid"},
    {PtqMethod::kGptq, "gptq"},
    {PtqMethod::kPt2Llm, "pt2-llm"},
    {PtqMethod::kArb, "arb"},
    {PtqMethod::kSvid, "svid"},
    {PtqMethod::kPtBitnet, "pt-bitnet"},
}};

// Tried where the shrinkage is chosen; section 23's flat optimum lies among them.
constexpr std::array<double, 5> kShrinkages = {0.03, 0.1, 0.3, 1.0, 3.0};

// One quantization with everything settled.
class LayerRun {
 public:
  LayerRun(const at::Tensor& weight, const LayerTarget& target, const LayerOptions& options,
           Team team)
      : weight_(weight), target_(target), options_(options), team_(team) {}

  LayerResult run(const std::function<double(const LowBitMatrix&)>& held_out) {
    switch (options_.method) {
      case PtqMethod::kAbsmean:
        return finish("absmean", absmean(weight_, options_.grouping));
      case PtqMethod::kTwn:
        return finish("threshold", twn(weight_, options_.grouping));
      case PtqMethod::kGrid:
        return finish("threshold", thresholds());
      case PtqMethod::kPt2Llm:
        return finish("fit", pt2_llm(target_, options_.grouping));
      case PtqMethod::kArb:
        return finish("refinement", arb(target_, options_.grouping));
      case PtqMethod::kSvid:
        return finish("rank one", svid(weight_));
      case PtqMethod::kGptq:
      case PtqMethod::kPtBitnet:
        break;
    }
    LowBitMatrix matrix = thresholds();
    note("threshold", matrix);
    if (options_.feedback) {
      matrix = gptq(target_, matrix);
      note("feedback", matrix);
      fit_scales(matrix, target_);
      note("scales", matrix);
    }
    if (options_.flip_rounds > 0) {
      flip_codes(matrix, target_, options_.flip_rounds, held_out, team_);
      note("flips", matrix);
    }
    return finish("stored", std::move(matrix));
  }

 private:
  LowBitMatrix thresholds() const {
    if (!options_.hessian) {
      return threshold_grid(target_.weight, options_.grouping, options_.grid_points);
    }
    LowBitMatrix out = threshold_grid(target_, options_.grouping, options_.grid_points);
    fit_scales(out, target_);
    return out;
  }

  void note(const char* stage, const LowBitMatrix& matrix) {
    if (target_.h.defined()) {
      result_.stages.push_back({stage, relative_error(matrix.values(), target_, team_)});
    }
  }

  LayerResult finish(const char* stage, LowBitMatrix matrix) {
    round_to_stored(matrix);
    note(stage, matrix);
    result_.matrix = std::move(matrix);
    return std::move(result_);
  }

  const at::Tensor& weight_;
  const LayerTarget& target_;
  const LayerOptions& options_;
  Team team_;
  LayerResult result_;
};

LayerResult quantize_with(const at::Tensor& weight, Moments fit, const Moments& held_out,
                          const LayerOptions& options, double shrinkage, const std::string& name,
                          Team team) {
  LayerTarget target{weight, {}, name};
  const bool is_fitted = fit.tokens > 0;
  if (is_fitted) {
    target = layer_target(weight, std::move(fit), shrinkage, options.cross_term, name.c_str());
  }
  std::function<double(const LowBitMatrix&)> judge;
  if (held_out.tokens > 0) {
    judge = [&](const LowBitMatrix& matrix) {
      return output_objective(matrix.values(), weight, held_out, options.cross_term, team);
    };
  }
  LayerResult result = LayerRun(weight, target, options, team).run(judge);
  result.shrinkage = is_fitted ? shrinkage : 0;
  return result;
}

}  // namespace

PtqMethod parse_ptq_method(const std::string& text) {
  for (const auto& [method, name] : kNames) {
    if (text == name) return method;
  }
  fail(ErrorCode::kUsage, "method is '{}'; {} are possible", text, ptq_method_names());
}

const char* to_string(PtqMethod method) {
  for (const auto& [known, name] : kNames) {
    if (known == method) return name;
  }
  return "";
}

std::string ptq_method_names() {
  std::string names;
  for (const auto& [method, name] : kNames) {
    if (!names.empty()) names += ", ";
    names += name;
  }
  return names;
}

bool needs_calibration(PtqMethod method) {
  return method != PtqMethod::kAbsmean && method != PtqMethod::kTwn && method != PtqMethod::kSvid;
}

bool is_packable(PtqMethod method) {
  return method != PtqMethod::kPt2Llm && method != PtqMethod::kArb && method != PtqMethod::kSvid;
}

LayerOptions default_layer_options(PtqMethod method) {
  LayerOptions options;
  options.method = method;
  if (method == PtqMethod::kPtBitnet) return options;
  options.token_weights = TokenWeights::kEqual;
  options.cross_term = 0;
  options.shrinkage = 0.01;
  options.flip_rounds = 0;
  options.feedback = method == PtqMethod::kGptq;
  return options;
}

LayerResult quantize_layer(const at::Tensor& weight, Moments fit, const Moments& held_out,
                           const LayerOptions& options, const std::string& name, Team team) {
  if (!weight.isfinite().all().item<bool>()) {
    fail(ErrorCode::kBadInput, "'{}' holds a weight that is not a finite number", name);
  }
  if (options.shrinkage >= 0 || fit.tokens == 0 || held_out.tokens == 0) {
    const double shrinkage = options.shrinkage >= 0 ? options.shrinkage : 0.1;
    return quantize_with(weight, std::move(fit), held_out, options, shrinkage, name, team);
  }
  LayerResult best;
  double lowest = std::numeric_limits<double>::infinity();
  for (const double shrinkage : kShrinkages) {
    LayerResult result = quantize_with(weight, fit, held_out, options, shrinkage, name, team);
    const double error =
        output_objective(result.matrix.values(), weight, held_out, options.cross_term, team);
    if (error < lowest) {
      lowest = error;
      best = std::move(result);
    }
  }
  return best;
}

}  // namespace tercet::learn
