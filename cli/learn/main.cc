// SPDX-License-Identifier: Apache-2.0
#include "cli/common/program.h"
#include "cli/learn/commands.h"
#include "version/version.h"

int main(int argc, char** argv) {
  // Users type `tercet pretrain`; this program only carries it out.
  CLI::App app("The learning half of tercet.", "tercet");
  app.set_version_flag("--version", "tercet-learn " + tercet::version());
  app.require_subcommand(1);
  tercet::cli::add_pretrain(app);
  tercet::cli::add_twin(app);
  tercet::cli::add_scaling(app);
  tercet::cli::add_quantize(app);
  tercet::cli::add_learn_doctor(app);
  return tercet::cli::run_program(app, argc, argv);
}
