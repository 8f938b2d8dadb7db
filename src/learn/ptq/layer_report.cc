// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/layer_report.h"

#include <ATen/ATen.h>

#include "core/error.h"

namespace tercet::learn {
namespace {

double share_of(const at::Tensor& codes, double code) {
  const int64_t count = at::count_nonzero(codes.eq(code)).item().to<int64_t>();
  return static_cast<double>(count) / static_cast<double>(codes.numel());
}

}  // namespace

LayerReport report_of(const std::string& name, const at::Tensor& weight, const LayerResult& result,
                      double seconds) {
  LayerReport out;
  const LowBitMatrix& matrix = result.matrix;
  out.name = name;
  out.rows = matrix.codes.size(0);
  out.cols = matrix.codes.size(1);
  out.bits_per_weight = matrix.bits_per_weight();
  out.shares = {share_of(matrix.codes, -1), share_of(matrix.codes, 0), share_of(matrix.codes, 1)};
  out.mean_scale = matrix.scales.to(at::kDouble).mean().item<double>();
  out.shrinkage = result.shrinkage;
  out.stages = result.stages;
  out.seconds = seconds;
  const at::Tensor scales = at_columns(matrix.scales, matrix.column_group).clamp_min(1e-30);
  const at::Tensor counts =
      at::histc(weight / scales, kHistogramBins, -kHistogramEnd, kHistogramEnd);
  for (int64_t i = 0; i < kHistogramBins; ++i) {
    out.histogram.push_back(counts[i].item().to<int64_t>());
  }
  return out;
}

Json to_json(const LayerReport& report) {
  Json stages = Json::array();
  for (const StageError& stage : report.stages) {
    stages.push_back({{"stage", stage.stage}, {"relative_error", stage.error}});
  }
  return {{"name", report.name},
          {"rows", report.rows},
          {"cols", report.cols},
          {"bits_per_weight", report.bits_per_weight},
          {"shares", report.shares},
          {"mean_scale", report.mean_scale},
          {"shrinkage", report.shrinkage},
          {"stages", std::move(stages)},
          {"block_loss", report.block_loss},
          {"seconds", report.seconds},
          {"weights_over_scale", report.histogram}};
}

LayerReport layer_report_from_json(const Json& json) {
  LayerReport out;
  try {
    out.name = json.at("name").get<std::string>();
    out.rows = json.at("rows").get<int64_t>();
    out.cols = json.at("cols").get<int64_t>();
    out.bits_per_weight = json.at("bits_per_weight").get<double>();
    out.shares = json.at("shares").get<std::array<double, 3>>();
    out.mean_scale = json.at("mean_scale").get<double>();
    out.shrinkage = json.at("shrinkage").get<double>();
    for (const Json& stage : json.at("stages")) {
      out.stages.push_back(
          {stage.at("stage").get<std::string>(), stage.at("relative_error").get<double>()});
    }
    out.block_loss = json.at("block_loss").get<double>();
    out.seconds = json.at("seconds").get<double>();
    out.histogram = json.at("weights_over_scale").get<std::vector<int64_t>>();
  } catch (const Json::exception& error) {
    fail(ErrorCode::kBadInput, "the report of a finished block is damaged: {}", error.what());
  }
  return out;
}

}  // namespace tercet::learn
