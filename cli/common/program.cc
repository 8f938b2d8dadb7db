// SPDX-License-Identifier: Apache-2.0
#include "cli/common/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <new>
#include <numeric>
#include <utility>
#include <vector>

#include "cli/common/output.h"
#include "cli/common/signals.h"
#include "core/error.h"

namespace tercet::cli {
namespace {

// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> before_last, last(b.size() + 1), current(b.size() + 1);
  std::iota(last.begin(), last.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      current[j] =
          std::min({last[j] + 1, current[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        current[j] = std::min(current[j], before_last[j - 2] + 1);
      }
    }
    before_last = std::exchange(last, current);
  }
  return last[b.size()];
}

// At most three of `names` that `typed` may stand for, the most similar first.
std::vector<std::string> similar_words(const std::vector<std::string>& names,
                                       const std::string& typed) {
  std::vector<std::pair<size_t, std::string>> ranked;
  for (const std::string& name : names) {
    const bool prefix = typed.size() >= 2 && typed != "--" && name.starts_with(typed);
    const size_t distance = prefix ? 0 : edit_distance(typed, name);
    if (distance <= std::min<size_t>(2, name.size() / 2)) ranked.emplace_back(distance, name);
  }
  std::sort(ranked.begin(), ranked.end());
  if (ranked.size() > 3) ranked.resize(3);
  std::vector<std::string> similar;
  for (const auto& [distance, name] : ranked) similar.push_back(name);
  return similar;
}

// The words of the sub-commands chosen so far: "tercet tokenizer train".
std::string command_words(const CLI::App& app) {
  std::string words = app.get_name();
  const CLI::App* level = &app;
  while (!level->get_subcommands().empty()) {
    level = level->get_subcommands().front();
    words += " " + level->get_name();
  }
  return words;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

// Refuses a first word that is no sub-command, since CLI11 would only call it "not expected".
void check_command_word(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  const std::string typed = argv[1];
  const std::vector<std::string> names = command_names(app);
  if (names.empty() || std::find(names.begin(), names.end(), typed) != names.end()) return;
  const std::vector<std::string> similar = similar_commands(app, typed);
  const std::string hint =
      similar.empty() ? "" : fmt::format("did you mean '{}'? ", fmt::join(similar, "' or '"));
  fail(ErrorCode::kUsage, "'{}' is not a command; {}'{} --help' lists them", typed, hint,
       app.get_name());
}

// The names of the options of the command that was chosen.
std::vector<std::string> option_names(const CLI::App& app) {
  const CLI::App* level = &app;
  while (!level->get_subcommands().empty()) level = level->get_subcommands().front();
  std::vector<std::string> names;
  for (const CLI::Option* option : level->get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

// CLI11 names what is left over, a misspelt option's value first.
[[noreturn]] void refuse_first_extra(const CLI::App& app, int argc, char** argv) {
  const std::vector<std::string> extras = app.remaining(true);
  const auto is_extra = [&](const std::string& word) {
    return std::find(extras.begin(), extras.end(), word) != extras.end();
  };
  const char* const* found = std::find_if(argv + 1, argv + argc, is_extra);
  const std::string typed = found == argv + argc ? extras.front() : *found;
  const std::string word = typed.substr(0, typed.find('='));
  const std::vector<std::string> similar =
      word.starts_with("--") ? similar_words(option_names(app), word) : std::vector<std::string>();
  const std::string hint =
      similar.empty() ? "" : fmt::format("did you mean '{}'? ", fmt::join(similar, "' or '"));
  fail(ErrorCode::kUsage, "'{}' is not expected here; {}'{} --help' shows how it is used", word,
       hint, command_words(app));
}

void parse(CLI::App& app, int argc, char** argv) {
  try {
    check_command_word(app, argc, argv);
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    app.exit(success);  // prints the help or the version
  } catch (const CLI::ExtrasError&) {
    refuse_first_extra(app, argc, argv);
  } catch (const CLI::ParseError& error) {
    fail(ErrorCode::kUsage, "{}; '{} --help' shows how it is used", error.what(),
         command_words(app));
  }
}

void report(const std::string& program, const char* kind, const char* message) {
  try {
    flush_output();  // what came before the error
  } catch (const Error&) {
    // The error to report is the first one.
  }
  write_error_output(fmt::format("{}: {}{}\n", program, kind, message));
}

}  // namespace

std::vector<std::string> similar_commands(const CLI::App& app, const std::string& typed) {
  return similar_words(command_names(app), typed);
}

int guarded(const std::string& program, const std::function<void()>& body) {
  install_signal_handlers();
  try {
    body();
    flush_output();
    return 0;
  } catch (const Error& error) {
    const bool interrupted = error.code() == ErrorCode::kInterrupted;
    report(program, interrupted ? "" : "error: ", error.what());
    return exit_code(error.code());
  } catch (const std::bad_alloc&) {
    report(program,
           "error: ", "not enough memory; a smaller model or a shorter context (-c) needs less");
  } catch (const std::exception& error) {
    report(program, "internal error, please report it: ", error.what());
  }
  return exit_code(ErrorCode::kInternal);
}

int run_program(CLI::App& app, int argc, char** argv) {
  return guarded(app.get_name(), [&] { parse(app, argc, argv); });
}

}  // namespace tercet::cli
