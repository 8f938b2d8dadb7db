// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <vector>

#include "formats/json.h"
#include "learn/study/member_runner.h"
#include "learn/study/study_info.h"
#include "learn/study/twin_plan.h"

namespace tercet::learn {

// The twin experiment in a directory: OUT/study.json says what it is, OUT/<family>/ are
// the runs, OUT/twin.json, pictures and index.html the results.
class TwinStudy {
 public:
  // A new study of members that plan_twin() made, `parallel` of them at a time. Nothing is trained
  // yet. Throws as create_study() does.
  static TwinStudy create(const std::filesystem::path& out, std::vector<TwinMember> members,
                          int64_t parallel, const StudyInfo& info);
  // One that create() made, whether finished or not. Throws as open_study() does.
  static TwinStudy open(const std::filesystem::path& out);
  static bool exists(const std::filesystem::path& out);

  const std::vector<TwinMember>& members() const { return members_; }
  int64_t parallel() const { return parallel_; }
  // Optimizer steps until all members are finished.
  int64_t steps_left() const;

  // Trains what is not finished, as train_members() does with this study's `parallel`, and writes
  // the results. Returns twin.json.
  Json run(RunnerSetup setup) const;

 private:
  TwinStudy(std::filesystem::path out, std::vector<TwinMember> members, int64_t parallel,
            StudyInfo info);

  std::filesystem::path out_;
  std::vector<TwinMember> members_;
  int64_t parallel_;
  StudyInfo info_;
};

}  // namespace tercet::learn
