// SPDX-License-Identifier: Apache-2.0
#include "formats/rope_frequencies.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tercet {
namespace {

// The dimension whose pair turns `rotations` times over the original context (YaRN, appendix A.1).
double dimension_of(double rotations, int64_t dimensions, const ModelConfig& config) {
  const double context = static_cast<double>(config.rope_scaling.original_max_position_embeddings);
  return static_cast<double>(dimensions) *
         std::log(context / (rotations * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(static_cast<double>(config.rope_theta)));
}

// YaRN: pairs below `low` keep their frequency, pairs above `high` are slowed down by `factor`.
void apply_yarn(const ModelConfig& config, RopeFrequencies& out) {
  const RopeScaling& scaling = config.rope_scaling;
  const int64_t dimensions = config.rotary_dimensions();
  double low = dimension_of(static_cast<double>(scaling.beta_fast), dimensions, config);
  double high = dimension_of(static_cast<double>(scaling.beta_slow), dimensions, config);
  if (scaling.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(dimensions - 1));
  if (low == high) high += 0.001;  // a step instead of a ramp
  const double factor = static_cast<double>(scaling.factor);
  for (size_t i = 0; i < out.radians.size(); ++i) {
    const double slowed = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    out.radians[i] *= slowed / factor + (1.0 - slowed);
  }
  out.amplitude = static_cast<double>(scaling.attention_factor);
}

}  // namespace

RopeFrequencies plain_frequencies(int64_t dimensions, double theta) {
  RopeFrequencies out;
  out.radians.resize(static_cast<size_t>(dimensions / 2));
  for (size_t i = 0; i < out.radians.size(); ++i) {
    out.radians[i] =
        std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(dimensions));
  }
  return out;
}

RopeFrequencies scaled_frequencies(const ModelConfig& config, std::span<const float> factors) {
  RopeFrequencies out =
      plain_frequencies(config.rotary_dimensions(), static_cast<double>(config.rope_theta));
  switch (config.rope_scaling.type) {
    case RopeType::kDefault:
      break;
    case RopeType::kLinear:
      for (double& radians : out.radians) {
        radians /= static_cast<double>(config.rope_scaling.factor);
      }
      break;
    case RopeType::kLlama3:
      for (size_t i = 0; i < out.radians.size(); ++i) {
        out.radians[i] /= static_cast<double>(factors[i]);
      }
      break;
    case RopeType::kYarn:
      apply_yarn(config, out);
      break;
  }
  return out;
}

}  // namespace tercet
