// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/weight_stats.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "formats/safetensors.h"

namespace tercet::learn {
namespace {

// "model.layers.3.mlp.down_proj.weight": "down_proj".
std::string kind_of(const std::string& tensor) {
  const size_t end = tensor.rfind('.');
  const size_t begin = tensor.rfind('.', end - 1) + 1;
  return tensor.substr(begin, end - begin);
}

Json codes_json(const WeightReport& report, const WeightCounts& counts) {
  const auto share = [&](int64_t count) {
    return static_cast<double>(count) / static_cast<double>(counts.weights);
  };
  Json json = {
      {"minus", share(counts.minus)}, {"zero", share(counts.zero)}, {"plus", share(counts.plus)}};
  if (report.steps_since > 0) json["flips_per_step"] = report.flips_per_step(counts);
  return json;
}

void read_words(const SafetensorsFile& file, const std::string& name, std::span<uint64_t> words) {
  const TensorView& view = file.tensor(name);
  if (view.type != DType::kI64 || view.bytes.size() != words.size_bytes()) {
    fail(ErrorCode::kBadInput, "'{}': tensor '{}' does not fit the model", file.path().string(),
         name);
  }
  std::memcpy(words.data(), view.bytes.data(), view.bytes.size());
}

TensorView words_view(const std::string& name, std::span<const uint64_t> words) {
  return {name,
          DType::kI64,
          {static_cast<int64_t>(words.size())},
          {reinterpret_cast<const uint8_t*>(words.data()), words.size_bytes()}};
}

}  // namespace

double WeightReport::flips_per_step(const WeightCounts& counts) const {
  if (steps_since == 0 || counts.weights == 0) return 0;
  return static_cast<double>(counts.changed) / static_cast<double>(counts.weights) /
         static_cast<double>(steps_since);
}

Json to_json(const WeightReport& report) {
  Json json = {{"step", report.step},
               {"histogram",
                {{"low", LatentBins::kLow},
                 {"high", LatentBins::kHigh},
                 {"counts", report.total.histogram}}}};
  if (!report.has_codes) return json;
  json.update(codes_json(report, report.total));
  json["steps_since"] = report.steps_since;
  for (const WeightReport::Kind& kind : report.kinds) {
    json["kinds"][kind.name] = codes_json(report, kind.counts);
  }
  return json;
}

WeightStats::WeightStats(const Transformer& model)
    : linear_(model.config().linear), groups_(model.config().variants.quant_groups) {
  const bool has_codes = has_low_bit_maps(linear_);
  for (const TensorSpec& spec : tensor_specs(model.config())) {
    if (spec.rows == 0 || !spec.hf_name.starts_with("model.layers.")) continue;
    const std::string kind = kind_of(spec.hf_name);
    auto found = std::find(kind_names_.begin(), kind_names_.end(), kind);
    if (found == kind_names_.end()) found = kind_names_.insert(found, kind);
    matrices_.push_back({spec.hf_name, static_cast<size_t>(found - kind_names_.begin()),
                         &model.parameter(spec.hf_name),
                         has_codes ? CodeMemory(spec.rows, spec.cols) : CodeMemory(0, 0)});
  }
}

WeightReport WeightStats::measure(int64_t step) {
  const bool has_codes = has_low_bit_maps(linear_);
  std::vector<WeightCounts> counts(matrices_.size());
  at::parallel_for(0, static_cast<int64_t>(matrices_.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      Matrix& matrix = matrices_[static_cast<size_t>(i)];
      const at::Tensor weights = matrix.weights->detach().to(at::kCPU, at::kFloat).contiguous();
      counts[static_cast<size_t>(i)] = count_weights(
          {weights.data_ptr<float>(), static_cast<size_t>(weights.numel())}, weights.size(0),
          weights.size(1), linear_, has_codes ? &matrix.codes : nullptr, groups_);
    }
  });
  WeightReport report;
  report.step = step;
  report.steps_since = last_step_ < 0 ? 0 : step - last_step_;
  report.has_codes = has_codes;
  for (const std::string& name : kind_names_) report.kinds.push_back({name, {}});
  for (size_t i = 0; i < matrices_.size(); ++i) {
    report.kinds[matrices_[i].kind].counts += counts[i];
    report.total += counts[i];
  }
  last_step_ = step;
  return report;
}

void WeightStats::save(const std::filesystem::path& file) const {
  const uint64_t step = static_cast<uint64_t>(last_step_);
  std::vector<TensorView> views = {words_view("step", {&step, 1})};
  if (has_low_bit_maps(linear_)) {
    for (const Matrix& matrix : matrices_) {
      views.push_back(words_view(matrix.name, matrix.codes.words()));
    }
  }
  write_safetensors(file, views, {});
}

void WeightStats::load(const std::filesystem::path& file) {
  const SafetensorsFile source(file);
  uint64_t step = 0;
  read_words(source, "step", {&step, 1});
  if (has_low_bit_maps(linear_)) {
    for (Matrix& matrix : matrices_) read_words(source, matrix.name, matrix.codes.words());
  }
  last_step_ = static_cast<int64_t>(step);
}

}  // namespace tercet::learn
