// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "cli/common/output.h"
#include "cli/learn/commands.h"
#include "cli/learn/study_options.h"
#include "core/error.h"
#include "learn/pretrain/presets.h"
#include "learn/study/scaling_report.h"
#include "learn/study/scaling_study.h"

namespace tercet::cli {
namespace {

struct ScalingArguments : StudyArguments {
  std::vector<std::string> presets;
  std::vector<std::filesystem::path> runs;
  double tokens_per_parameter = 20;
  double noise = 0;
};

learn::ScalingStudy new_study(const ScalingArguments& arguments) {
  learn::ScalingRequest request;
  request.presets = arguments.presets;
  request.tokens_per_parameter = arguments.tokens_per_parameter;
  request.base = twin_request(arguments, "");
  return learn::ScalingStudy::create(arguments.out, learn::plan_scaling(request),
                                     arguments.parallel, arguments.noise, study_info());
}

Json trained(const ScalingArguments& arguments) {
  refuse_launcher();
  if (arguments.resume && (arguments.says_recipe() || !arguments.presets.empty())) {
    fail(ErrorCode::kUsage,
         "--resume continues with the recipes of the study; leave out all others but --out and "
         "--json");
  }
  const learn::ScalingStudy study =
      arguments.resume ? learn::ScalingStudy::open(arguments.out) : new_study(arguments);
  StudyProgress progress("scaling", study.steps_left(), arguments.json);
  return study.run(progress.setup(),
                   [&](const std::string& size) { progress.message("size " + size); });
}

Json of_runs(const ScalingArguments& arguments) {
  if (arguments.resume || arguments.says_recipe() || !arguments.presets.empty()) {
    fail(ErrorCode::kUsage,
         "--runs takes finished runs as they are: leave out --resume, --presets "
         "and recipe options");
  }
  return learn::write_scaling(arguments.out, learn::read_sizes(arguments.runs), arguments.noise,
                              study_info());
}

void run(const ScalingArguments& arguments) {
  const Json scaling = arguments.runs.empty() ? trained(arguments) : of_runs(arguments);
  if (arguments.json) return print_json(scaling);
  print_text("{}\n{}\n", plot::to_markdown(learn::members_table(scaling)),
             plot::to_markdown(learn::laws_table(scaling)));
  const Json& law = scaling.at("laws").front();
  if (law.contains("intervals")) {
    print_text("Intervals: {}.\n", law.at("intervals").get<std::string>());
  }
  print_text("{}: scaling.json, index.html and pictures\n", arguments.out.string());
}

}  // namespace

void add_scaling(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "scaling", "Twin experiments over several sizes, their scaling laws and energy");
  auto arguments = std::make_shared<ScalingArguments>();
  command->add_option("--presets", arguments->presets, "Sizes: some of " + learn::preset_names())
      ->delimiter(',');
  command
      ->add_option("--tokens-per-parameter", arguments->tokens_per_parameter,
                   "Length of each training, unless --tokens or --steps says it")
      ->default_str("20");
  command->add_option("--runs", arguments->runs,
                      "Instead of training: finished runs, studies or results files");
  command
      ->add_option("--loss-noise", arguments->noise,
                   "Relative standard deviation of a final loss between seeds, where it is "
                   "known: gives intervals of laws also for three sizes")
      ->check(CLI::Range(0.0, 1.0));
  add_study_options(*command, arguments, {"family"});
  command->footer(
      "Example:\n  tercet scaling --data data/ --presets 1m,3m,8m --out scaling/\n"
      "  tercet scaling --out scaling/ --resume\n"
      "  tercet scaling --runs study-1m/ study-3m/ study-8m/ --out scaling/");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace tercet::cli
