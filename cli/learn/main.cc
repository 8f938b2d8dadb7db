// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>

#include "cli/common/program.h"
#include "cli/learn/commands.h"
#include "version/version.h"

namespace {

// Every shard of a data set is an open file; the usual limit of 1024 is there for programs that
// wait with select(), which none here does.
void raise_open_files() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  raise_open_files();
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
