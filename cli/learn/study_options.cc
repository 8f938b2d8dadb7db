// SPDX-License-Identifier: Apache-2.0
#include "cli/learn/study_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "cli/common/command_line.h"
#include "cli/common/learning_half.h"
#include "cli/common/numbers.h"
#include "cli/common/signals.h"
#include "cli/learn/recipe_options.h"
#include "core/error.h"
#include "learn/dist/launch.h"
#include "version/version.h"

namespace tercet::cli {

bool StudyArguments::says_recipe() const {
  return !families.empty() || !configs.empty() || !settings.empty() || !flags.empty();
}

void add_study_options(CLI::App& command, const std::shared_ptr<StudyArguments>& arguments,
                       const std::vector<std::string>& without_fields) {
  command
      .add_option("--families", arguments->families,
                  "What to compare, in this order: llama, b1.58, b1 (default: all three)")
      ->delimiter(',');
  command.add_option("--config", arguments->configs,
                     "Recipe: a JSON file for all, or, when it names a family, for that one alone; "
                     "may be repeated");
  command.add_option("--set", arguments->settings,
                     "A field of one family's recipe: FAMILY.FIELD=VALUE; may be repeated");
  command
      .add_option("--parallel", arguments->parallel, "Trainings at a time, which share the cores")
      ->check(CLI::Range(1, 64))
      ->default_str("1");
  command.add_option("--out", arguments->out, "Directory for runs, results and pictures")
      ->required();
  command.add_flag("--resume", arguments->resume, "Continue the study in --out");
  command.add_flag("--json", arguments->json,
                   "Print the results as one JSON document on stdout and nothing else there");
  add_recipe_options(command, without_fields, [arguments](const std::string& field, Json value) {
    arguments->flags[field] = std::move(value);
  });
}

learn::TwinRequest twin_request(const StudyArguments& arguments, const std::string& preset) {
  learn::TwinRequest request;
  request.preset = preset;
  request.families = arguments.families;
  request.parallel = arguments.parallel;
  std::vector<std::string> named;
  for (const std::filesystem::path& file : arguments.configs) {
    Json config = read_json_file(file);
    learn::Recipe checked;  // names the file when it is no recipe
    learn::apply_json(checked, config, file.string());
    if (config.contains("family")) {
      request.own[checked.family].update(config);
      named.push_back(checked.family);
    } else {
      request.common.update(config);
    }
  }
  if (request.families.empty()) request.families = named;
  request.options = arguments.flags;
  for (const std::string& setting : arguments.settings) learn::add_own_setting(request, setting);
  return request;
}

void refuse_launcher() {
  const auto launch = learn::read_launch([](const char* name) { return std::getenv(name); });
  if (!launch || launch->ranks == 1) return;
  fail(ErrorCode::kUsage,
       "a study starts its trainings itself: start it once, without torchrun, mpirun or srun");
}

learn::StudyInfo study_info() { return {command_line(), version()}; }

StudyProgress::StudyProgress(const std::string& label, int64_t steps, bool quiet)
    : progress_(label, steps, quiet) {}

learn::RunnerSetup StudyProgress::setup() {
  learn::RunnerSetup setup;
  setup.program = program_path();
  announce_stop("\nstopping after the steps that run; again to stop at once\n");
  setup.stop = &stop_requested();
  setup.on_event = [this](const std::string& family, const Json& event) {
    on_event(family, event);
  };
  return setup;
}

void StudyProgress::on_event(const std::string& family, const Json& event) {
  const std::string kind = event.value("event", "");
  if (kind == "start") {
    const int64_t first = event.value("first_step", int64_t{0});
    members_.push_back({family, first, first, event.value("steps", int64_t{0}), 0});
    progress_.message(fmt::format("{}: {} parameters, {} steps{}", family,
                                  format_count(event.value("parameters", uint64_t{0})),
                                  members_.back().steps,
                                  first > 0 ? fmt::format(", resumed after step {}", first) : ""));
    return;
  }
  const auto member = std::find_if(members_.rbegin(), members_.rend(),
                                   [&](const Member& m) { return m.family == family; });
  if (member == members_.rend()) return;
  if (kind == "step") {
    member->step = event.value("step", int64_t{0});
    if (event.contains("loss") && event["loss"].is_number()) member->loss = event["loss"];
    show();
  } else if (kind == "skip") {
    progress_.message(fmt::format("{}: step {} skipped", family, event.value("step", int64_t{0})));
  } else if (kind == "done") {
    progress_.message(fmt::format("{}: validation loss {:.4f}, perplexity {:.2f}", family,
                                  event.value("validation_loss", 0.0),
                                  event.value("perplexity", 0.0)));
  }
}

void StudyProgress::show() {
  int64_t done = 0;
  std::string note;
  for (const Member& member : members_) {
    done += member.step - member.first_step;
    if (member.step == member.steps) continue;
    note += fmt::format("{}{} {}/{} loss {:.3f}", note.empty() ? "" : "  ", member.family,
                        member.step, member.steps, member.loss);
  }
  progress_.update(done, note);
}

}  // namespace tercet::cli
