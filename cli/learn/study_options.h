// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cli/common/progress.h"
#include "formats/json.h"
#include "learn/study/member_runner.h"
#include "learn/study/study_info.h"
#include "learn/study/twin_plan.h"

namespace tercet::cli {

// What `tercet twin` and `tercet scaling` have in common.
struct StudyArguments {
  std::vector<std::string> families;
  std::vector<std::filesystem::path> configs;
  std::vector<std::string> settings;  // FAMILY.FIELD=VALUE
  Json flags = Json::object();        // recipe fields of all members
  int64_t parallel = 1;
  std::filesystem::path out;
  bool resume = false;
  bool json = false;

  // Whether anything was given that only a new study can take.
  bool says_recipe() const;
};
void add_study_options(CLI::App& command, const std::shared_ptr<StudyArguments>& arguments,
                       const std::vector<std::string>& without_fields);

// Recipe files that name a family are that member's alone, and choose the families when --families
// is not given. Throws as read_json_file() and add_own_setting() do.
learn::TwinRequest twin_request(const StudyArguments& arguments, const std::string& preset);

// Throws kUsage when a launcher has started several of this process.
void refuse_launcher();

learn::StudyInfo study_info();

// Where the trainings of a study are: one line for all that run.
class StudyProgress {
 public:
  // `steps`: those that are left to do.
  StudyProgress(const std::string& label, int64_t steps, bool quiet);

  // For train_members(): this process' own program, Ctrl-C, and what the trainings say.
  learn::RunnerSetup setup();

  void message(const std::string& line) { progress_.message(line); }

 private:
  struct Member {
    std::string family;
    int64_t first_step = 0;
    int64_t step = 0;
    int64_t steps = 0;
    double loss = 0;
  };
  void on_event(const std::string& family, const Json& event);
  void show();

  Progress progress_;
  std::vector<Member> members_;  // in the order in which they began
};

}  // namespace tercet::cli
