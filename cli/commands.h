// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string_view>

namespace tercet::cli {

// Each adds one sub-command, whose callback does the work and throws tercet::Error.
void add_run(CLI::App& app);
void add_chat(CLI::App& app);
void add_bench(CLI::App& app);
void add_synthesize(CLI::App& app);
void add_perplexity(CLI::App& app);
void add_convert(CLI::App& app);
void add_inspect(CLI::App& app);
void add_tokenize(CLI::App& app);
void add_doctor(CLI::App& app);
void add_tokenizer_train(CLI::App& app);
void add_data(CLI::App& app);
void add_demo(CLI::App& app);

// The commands that `tercet-learn` carries out, for the help page.
void add_delegated(CLI::App& app);
// Whether `name` is one of them; main() then hands the whole command line over unparsed.
bool is_delegated(std::string_view name);

}  // namespace tercet::cli
