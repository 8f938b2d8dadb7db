// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "formats/json.h"
#include "learn/ptq/layer_quantizer.h"

namespace tercet::learn {

// Histograms of weights over their scale: bins of equal width from -end to end.
inline constexpr int kHistogramBins = 60;
inline constexpr double kHistogramEnd = 3;

// One quantized linear map, for the report.
struct LayerReport {
  std::string name;  // HF module
  int64_t rows = 0;
  int64_t cols = 0;
  double bits_per_weight = 0;
  std::array<double, 3> shares{};  // of the codes -1, 0 and 1
  double mean_scale = 0;
  double shrinkage = 0;
  std::vector<StageError> stages;
  double block_loss = 0;  // that its block was trained down to; 0: it was not
  double seconds = 0;
  std::vector<int64_t> histogram;  // of the source's weights
};

// weight: of the source.
LayerReport report_of(const std::string& name, const at::Tensor& weight, const LayerResult& result,
                      double seconds);

Json to_json(const LayerReport& report);
// The inverse. Throws kBadInput.
LayerReport layer_report_from_json(const Json& json);

}  // namespace tercet::learn
