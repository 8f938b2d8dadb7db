// SPDX-License-Identifier: Apache-2.0
#include "packing/absmean.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "packing/ternary.h"

namespace tercet::packing {

template <typename Term>
void LaneSum::add_terms(std::span<const float> values, Term term) {
  size_t i = 0;
  const auto add_one = [&] { lanes_[count_++ % kLanes] += term(static_cast<double>(values[i++])); };
  while (i < values.size() && count_ % kLanes != 0) add_one();
  // A copy, which the compiler can keep in registers.
  std::array<double, kLanes> lanes = lanes_;
  const size_t whole = (values.size() - i) / kLanes * kLanes;
  for (const size_t end = i + whole; i < end; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      lanes[lane] += term(static_cast<double>(values[i + lane]));
    }
  }
  lanes_ = lanes;
  count_ += whole;
  while (i < values.size()) add_one();
}

void LaneSum::add(std::span<const float> values) {
  add_terms(values, [](double value) { return value; });
}

void LaneSum::add_magnitudes(std::span<const float> values) {
  add_terms(values, [](double value) { return std::fabs(value); });
}

double LaneSum::mean() const {
  if (count_ == 0) return 0.0;
  double sum = 0.0;
  for (const double lane : lanes_) sum += lane;
  return sum / static_cast<double>(count_);
}

float AbsmeanSum::scale() const {
  constexpr float kSmallest = 1e-5f;
  const float mean = static_cast<float>(sum_.mean());
  return mean < kSmallest ? kSmallest : mean;  // written so that a NaN stays one
}

float mean_of(std::span<const float> weights) {
  MeanSum sum;
  sum.add(weights);
  return sum.mean();
}

void centred_sign_codes(std::span<const float> weights, float centre, std::span<int8_t> codes) {
  std::transform(weights.begin(), weights.end(), codes.begin(),
                 [centre](float weight) { return static_cast<int8_t>(weight > centre ? 1 : -1); });
}

float absmean_scale(std::span<const float> weights) {
  AbsmeanSum sum;
  sum.add(weights);
  return sum.scale();
}

void absmean_codes(std::span<const float> weights, float gamma, std::span<int8_t> codes) {
  const float inverse = 1.0f / gamma;
  // Half rounds to even, which is 0, and what rounds to more is clamped: two comparisons, which
  // compilers turn into vectors, where nearbyint() is a call.
  std::transform(weights.begin(), weights.end(), codes.begin(), [inverse](float weight) {
    const float scaled = weight * inverse;
    return static_cast<int8_t>(static_cast<int>(scaled > 0.5f) - static_cast<int>(scaled < -0.5f));
  });
}

TernaryMatrix quantize_absmean(std::span<const float> weights, int64_t rows, int64_t cols,
                               const std::string& origin) {
  if (rows < 0 || cols < 0 ||
      static_cast<uint64_t>(rows) * static_cast<uint64_t>(cols) !=
          static_cast<uint64_t>(weights.size())) {
    fail(ErrorCode::kInternal, "{}: {} weights given for a matrix of {} x {}", origin,
         weights.size(), rows, cols);
  }
  const float gamma = absmean_scale(weights);
  if (!std::isfinite(gamma)) {
    fail(ErrorCode::kBadInput,
         "{}: a weight is NaN or infinite, so it has no ternary form; the training that made it "
         "diverged or the file is damaged",
         origin);
  }
  TernaryMatrix matrix;
  matrix.rows = rows;
  matrix.cols = cols;
  matrix.scales = {gamma};
  matrix.codes.resize(weights.size());
  absmean_codes(weights, gamma, matrix.codes);
  return matrix;
}

bool is_own_layout(Layout layout) {
  return layout == Layout::kTrit5 || layout == Layout::kTrit4 || layout == Layout::kSign8;
}

double bits_per_weight(uint64_t bytes, int64_t rows, int64_t cols) {
  if (rows <= 0 || cols <= 0) return 0.0;
  return 8.0 * static_cast<double>(bytes) / (static_cast<double>(rows) * static_cast<double>(cols));
}

const char* to_string(Layout layout) {
  switch (layout) {
    case Layout::kTq1_0:
      return "tq1_0";
    case Layout::kTq2_0:
      return "tq2_0";
    case Layout::kTrit5:
      return "trit5";
    case Layout::kTrit4:
      return "trit4";
    case Layout::kSign8:
      return "sign8";
    case Layout::kI2S:
      return "i2_s";
    case Layout::kI2S64:
      return "i2_s64";
    case Layout::kQ1_0:
      return "q1_0";
    case Layout::kQ2_0:
      return "q2_0";
    case Layout::kQ2_0G128:
      return "q2_0_g128";
  }
  return "unknown";
}

}  // namespace tercet::packing
