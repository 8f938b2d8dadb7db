// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>

#include "cli/common/output.h"
#include "cli/learn/commands.h"
#include "cli/learn/study_options.h"
#include "core/error.h"
#include "learn/pretrain/presets.h"
#include "learn/study/twin_plan.h"
#include "learn/study/twin_report.h"
#include "learn/study/twin_study.h"

namespace tercet::cli {
namespace {

struct TwinArguments : StudyArguments {
  std::string preset;
};

learn::TwinStudy new_study(const TwinArguments& arguments) {
  const learn::TwinRequest request = twin_request(arguments, arguments.preset);
  return learn::TwinStudy::create(arguments.out, learn::plan_twin(request), request.parallel,
                                  study_info());
}

void run(const TwinArguments& arguments) {
  refuse_launcher();
  if (arguments.resume && (arguments.says_recipe() || !arguments.preset.empty())) {
    fail(ErrorCode::kUsage,
         "--resume continues with the recipes of the study; leave out all others but --out and "
         "--json");
  }
  const learn::TwinStudy study =
      arguments.resume ? learn::TwinStudy::open(arguments.out) : new_study(arguments);
  Json twin;
  {
    StudyProgress progress("twin", study.steps_left(), arguments.json);
    twin = study.run(progress.setup());
  }
  if (arguments.json) return print_json(twin);
  print_text("{}\n{}: twin.json, index.html and pictures\n",
             plot::to_markdown(learn::twin_table(twin)), arguments.out.string());
}

}  // namespace

void add_twin(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "twin", "Train several families on the same tokens and compare them: the twin experiment");
  auto arguments = std::make_shared<TwinArguments>();
  command->add_option("--preset", arguments->preset, "Size and recipes: " + learn::preset_names());
  add_study_options(*command, arguments, {"family"});
  command->footer(
      "Example:\n  tercet twin --data data/ --preset 8m --out study/\n"
      "  tercet twin --data data/ --preset 1m --families llama,b1.58 --tokens 20000000 \\\n"
      "      --set b1.58.learning_rate=0.01 --out study/\n"
      "  tercet twin --out study/ --resume");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace tercet::cli
