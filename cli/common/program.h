// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

namespace tercet::cli {

// Installs the signal handlers and runs `body`; the one place where exceptions end. Each becomes
// one line "<program>: error: ..." on stderr and the exit status of the command line contract,
// which is returned: 0 done, 2 usage, 3 bad or unsupported input, 4 I/O, 5 internal, 130
// interrupted.
int guarded(const std::string& program, const std::function<void()>& body);

// guarded(): parses the command line with `app` and runs the callback of the sub-command it names.
int run_program(CLI::App& app, int argc, char** argv);

// The names of `app`'s sub-commands that are likely meant by `typed`, best first, three at most.
std::vector<std::string> similar_commands(const CLI::App& app, const std::string& typed);

}  // namespace tercet::cli
