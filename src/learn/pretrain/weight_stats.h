// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "formats/json.h"
#include "learn/nn/transformer.h"
#include "learn/pretrain/weight_counts.h"

namespace tercet::learn {

// The linear maps of the layers at one step.
struct WeightReport {
  int64_t step = 0;
  int64_t steps_since = 0;  // the measurement before; 0: there was none
  bool has_codes = false;   // not so in a dense model

  struct Kind {
    std::string name;  // "q_proj", ... of all layers together
    WeightCounts counts;
  };
  std::vector<Kind> kinds;
  WeightCounts total;

  // Share of these codes that changed since the measurement before, per step between.
  double flips_per_step(const WeightCounts& counts) const;
};

// The fields of a "stats" line of the log (docs/training.md).
Json to_json(const WeightReport& report);

// Measures a model's weights from time to time. It keeps their codes, two bits each, to tell which
// have changed.
class WeightStats {
 public:
  // `model` must outlive it.
  explicit WeightStats(const Transformer& model);

  WeightReport measure(int64_t step);

  // The codes and the step of the last measurement, for a run that is resumed. load() throws
  // kBadInput naming file and tensor when they do not fit the model.
  void save(const std::filesystem::path& file) const;
  void load(const std::filesystem::path& file);

 private:
  struct Matrix {
    std::string name;
    size_t kind = 0;  // index into kind_names_
    const at::Tensor* weights = nullptr;
    CodeMemory codes;
  };

  LinearKind linear_;
  int64_t groups_;  // of columns, rounded each by itself
  std::vector<std::string> kind_names_;
  std::vector<Matrix> matrices_;
  int64_t last_step_ = -1;
};

}  // namespace tercet::learn
