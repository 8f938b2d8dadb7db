// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace tercet::cli {

// Parses the command line with `app` and runs the callback of the sub-command it names. Installs
// the signal handlers and is the one place where exceptions end: each becomes one line
// "<program>: error: ..." on stderr and the exit status of DESIGN.md section 5, which is returned.
int run_program(CLI::App& app, int argc, char** argv);

// The names of `app`'s sub-commands that are likely meant by `typed`, best first, three at most.
std::vector<std::string> similar_commands(const CLI::App& app, const std::string& typed);

}  // namespace tercet::cli
