// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"
#include "cli/data_commands.h"

namespace tercet::cli {

void add_data(CLI::App& app) {
  CLI::App* group = app.add_subcommand("data", "Prepare texts for training");
  group->footer("Example:\n  tercet data build books/ --tokenizer tok/ --out data/");
  group->require_subcommand(1);
  add_data_build(*group);
  add_data_info(*group);
}

}  // namespace tercet::cli
