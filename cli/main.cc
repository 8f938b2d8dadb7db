// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/common/learning_half.h"
#include "cli/common/program.h"
#include "version/version.h"

int main(int argc, char** argv) {
  CLI::App app("Trains, packs and runs language models with ternary (1.58-bit) weights.", "tercet");
  app.set_version_flag("--version", "tercet " + tercet::version());
  app.require_subcommand(1);
  app.footer(
      "Example:\n  tercet run models/novel-b158.gguf -p \"It was a dark night\" -n 64\n\n"
      "'tercet COMMAND --help' shows the options of a command.");
  tercet::cli::add_run(app);
  tercet::cli::add_chat(app);
  tercet::cli::add_bench(app);
  tercet::cli::add_synthesize(app);
  tercet::cli::add_perplexity(app);
  tercet::cli::add_convert(app);
  tercet::cli::add_inspect(app);
  tercet::cli::add_tokenize(app);
  tercet::cli::add_doctor(app);
  tercet::cli::add_tokenizer_train(app);
  tercet::cli::add_data(app);
  tercet::cli::add_demo(app);
  tercet::cli::add_delegated(app);
  if (argc > 1 && tercet::cli::is_delegated(argv[1])) {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    return tercet::cli::guarded(app.get_name(),
                                [&] { tercet::cli::exec_learning_half(arguments); });
  }
  return tercet::cli::run_program(app, argc, argv);
}
