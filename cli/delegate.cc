// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "cli/commands.h"

namespace tercet::cli {
namespace {

struct Delegated {
  const char* name;
  const char* description;
};

constexpr std::array<Delegated, 4> kDelegated = {{
    {"pretrain", "Train a model from scratch, ternary or full precision"},
    {"twin", "Train several families on the same tokens and compare them"},
    {"scaling", "Twin experiments over several sizes, their scaling laws and energy"},
    {"quantize", "Make a full-precision model ternary or binary, without training"},
}};

}  // namespace

void add_delegated(CLI::App& app) {
  for (const Delegated& command : kDelegated) {
    app.add_subcommand(command.name, command.description)->group("Commands of the learning half");
  }
}

bool is_delegated(std::string_view name) {
  return std::any_of(kDelegated.begin(), kDelegated.end(),
                     [&](const Delegated& command) { return name == command.name; });
}

}  // namespace tercet::cli
