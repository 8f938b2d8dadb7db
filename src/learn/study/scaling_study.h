// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "formats/json.h"
#include "learn/study/member_runner.h"
#include "learn/study/scaling_plan.h"
#include "learn/study/scaling_sources.h"
#include "learn/study/study_info.h"

namespace tercet::learn {

// A twin experiment per size in OUT/<preset>/; OUT/study.json says which, OUT/scaling.json,
// pictures and index.html are the results.
class ScalingStudy {
 public:
  // A new study; `noise` as in fit_scaling_law(). Nothing is trained yet. Throws as create_study()
  // does.
  static ScalingStudy create(const std::filesystem::path& out, std::vector<ScalingSize> sizes,
                             int64_t parallel, double noise, const StudyInfo& info);
  // One that create() made, whether finished or not. Throws as open_study() does.
  static ScalingStudy open(const std::filesystem::path& out);

  // Optimizer steps until all members of all sizes are finished.
  int64_t steps_left() const;

  // Trains what is not finished, size by size, and writes the results of each and of all. `on_size`
  // is told the name of each size before its training. Returns scaling.json.
  Json run(const RunnerSetup& setup, const std::function<void(const std::string&)>& on_size) const;

 private:
  std::filesystem::path out_;
  std::vector<ScalingSize> sizes_;
  int64_t parallel_ = 1;
  double noise_ = 0;
  StudyInfo info_;
};

// The results of runs that exist, written into OUT. Throws as check_comparable() does.
Json write_scaling(const std::filesystem::path& out, const std::vector<SizeResult>& sizes,
                   double noise, const StudyInfo& info);

}  // namespace tercet::learn
