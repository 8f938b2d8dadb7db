// SPDX-License-Identifier: Apache-2.0
#include "cli/generation_options.h"

#include <random>

#include "cli/common/signals.h"
#include "runtime/end_tokens.h"

namespace tercet::cli {

void GenerationArguments::add_to(CLI::App& command, const char* tokens_help,
                                 const char* context_help) {
  command.add_option("-n,--tokens", max_tokens, tokens_help);
  command.add_option("-c,--ctx", context, context_help);
  command.add_option("--temp", sampler.temperature, "Temperature, 0 for the likeliest token")
      ->capture_default_str();
  command.add_option("--top-k", sampler.top_k, "Keep the K likeliest tokens, 0 for all")
      ->capture_default_str();
  command.add_option("--top-p", sampler.top_p, "Keep the fewest tokens that hold probability P")
      ->capture_default_str();
  command
      .add_option("--min-p", sampler.min_p, "Keep tokens at least P times as likely as the best")
      ->capture_default_str();
  command.add_option("--seed", seed, "Seed of the random choice (default: a random one)");
  head.add_to(command);
  command.add_flag("--ignore-eos", ignore_eos, "Go on behind the end of the text");
}

GenerateOptions GenerationArguments::options(const Model& model, int64_t max_token_count) const {
  GenerateOptions options;
  options.max_tokens = max_token_count;
  options.sampler = sampler;
  options.sampler.seed = seed ? *seed : std::random_device{}();
  options.stop = &stop_requested();
  if (!ignore_eos) options.stop_ids = end_of_generation_ids(model);
  return options;
}

}  // namespace tercet::cli
