// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>

#include "cli/head_argument.h"
#include "model/model.h"
#include "runtime/engine.h"

namespace tercet::cli {

// The options of every command that generates text: -n, -c, sampling, --seed, --ignore-eos.
struct GenerationArguments {
  std::optional<int64_t> max_tokens;
  std::optional<int64_t> context;
  std::optional<uint32_t> seed;
  SamplerOptions sampler = {.temperature = 0.8, .top_k = 40, .top_p = 0.95, .min_p = 0.05};
  bool ignore_eos = false;
  HeadArgument head;

  // `tokens_help` and `context_help` describe -n and -c, whose defaults differ.
  void add_to(CLI::App& command, const char* tokens_help, const char* context_help);

  // With the given seed or a random one, the tokens that end a text of `model`, and Ctrl-C.
  GenerateOptions options(const Model& model, int64_t max_token_count) const;
};

}  // namespace tercet::cli
