// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/common/numbers.h"
#include "cli/common/output.h"
#include "cli/common/progress.h"
#include "cli/common/terminal_text.h"
#include "cli/generation_options.h"
#include "cli/memory_check.h"
#include "cli/model_argument.h"
#include "core/cpu.h"
#include "core/error.h"
#include "core/file.h"
#include "runtime/engine.h"

namespace tercet::cli {
namespace {

constexpr size_t kMaxPromptBytes = size_t{64} << 20;
constexpr int64_t kDefaultTokens = 256;

struct RunArguments {
  ModelArguments common;
  std::string prompt;
  std::string prompt_file;
  GenerationArguments generation;
  bool echo = false;
  bool quiet = false;
};

std::string read_prompt(const RunArguments& arguments) {
  if (arguments.prompt_file.empty()) return arguments.prompt;
  std::string text = arguments.prompt_file == "-"
                         ? read_standard_input(kMaxPromptBytes)
                         : read_text_file(arguments.prompt_file, kMaxPromptBytes);
  // Editors end a file with a line feed that is not meant as part of the prompt.
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

// Tokens of the prompt and how many to generate, checked against the context that was asked for
// before anything is allocated for it.
struct Plan {
  std::vector<int32_t> prompt;
  int64_t max_tokens = 0;
  int64_t context = 0;
};

Plan make_plan(const RunArguments& arguments, const Model& model, const std::string& prompt) {
  Plan plan;
  plan.prompt = tokenizer_of(model).encode_prompt(prompt);
  if (plan.prompt.empty()) {
    fail(ErrorCode::kUsage,
         "the prompt is empty and this model has no token to begin a text with; "
         "give one with -p or -f");
  }
  const int64_t limit = model.config().max_position_embeddings;
  const int64_t context = arguments.generation.context.value_or(limit);
  const int64_t room = context - std::ssize(plan.prompt);
  plan.max_tokens =
      arguments.generation.max_tokens.value_or(std::clamp<int64_t>(room, 1, kDefaultTokens));
  if (plan.max_tokens > room) {
    fail(ErrorCode::kUsage,
         "the prompt has {} tokens and {} are to be generated, but the context holds {}; shorten "
         "the prompt{}",
         plan.prompt.size(), plan.max_tokens, context,
         context < limit ? fmt::format(", lower -n or raise -c (this model: up to {})", limit)
                         : " or lower -n");
  }
  // No more cache than this run can fill, unless asked for.
  plan.context = arguments.generation.context.value_or(std::ssize(plan.prompt) + plan.max_tokens);
  return plan;
}

void print_stats(const GenerateStats& stats, const Engine& engine, uint64_t seed,
                 double load_seconds) {
  write_error_output(
      fmt::format("\n[{} prompt tokens, {:.1f}/s; {} generated, {:.1f}/s; first token after {}; "
                  "loaded in {}; {}, {} thread{}, seed {}]\n",
                  stats.prompt_tokens, stats.prompt_tokens_per_s(), stats.generated_tokens,
                  stats.generated_tokens_per_s(), format_seconds(stats.first_token_seconds),
                  format_seconds(load_seconds), engine.isa(), engine.threads(),
                  engine.threads() == 1 ? "" : "s", seed));
}

Json to_json(const GenerateStats& stats, const Engine& engine, uint64_t seed) {
  return {{"model", engine.model().path().string()},
          {"stop_reason", to_string(stats.reason)},
          {"prompt_tokens", stats.prompt_tokens},
          {"generated_tokens", stats.generated_tokens},
          {"prompt_tokens_per_s", stats.prompt_tokens_per_s()},
          {"generated_tokens_per_s", stats.generated_tokens_per_s()},
          {"first_token_seconds", stats.first_token_seconds},
          {"context", engine.context()},
          {"peak_rss_bytes", peak_rss_bytes()},
          {"isa", engine.isa()},
          {"threads", engine.threads()},
          {"kv_type", to_string(engine.kv_type())},
          {"seed", seed}};
}

void run(const RunArguments& arguments) {
  const auto start = std::chrono::steady_clock::now();
  arguments.generation.sampler.validate();
  const Model model =
      load_model(arguments.common.model, arguments.common.force,
                 arguments.generation.context.value_or(0), arguments.common.kv_type);
  const std::string prompt = read_prompt(arguments);
  const Plan plan = make_plan(arguments, model, prompt);
  if (!arguments.common.force)
    check_memory_for_context(model, plan.context, arguments.common.kv_type);
  Engine engine(model, chosen_kernels(),
                {.threads = arguments.common.thread_count(),
                 .context = plan.context,
                 .kv_type = arguments.common.kv_type,
                 .head = arguments.generation.head.precision(model)});
  const GenerateOptions options = arguments.generation.options(model, plan.max_tokens);
  const double load_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  StreamDecoder decoder(tokenizer_of(model), prompt.empty());
  std::string text;
  const bool json = arguments.common.json;
  const bool terminal = stdout_style().interactive;
  const auto emit = [&](std::string_view piece) {
    text += piece;
    if (json) return;
    write_output(terminal ? terminal_text(piece) : std::string(piece));
    flush_output();
  };
  if (arguments.echo && !json) write_output(prompt);
  const GenerateStats stats = engine.generate(plan.prompt, options, [&](int32_t token) {
    emit(decoder.push(token));
    return true;
  });
  emit(decoder.finish());

  if (json) {
    Json document = to_json(stats, engine, options.sampler.seed);
    document["prompt"] = prompt;
    document["text"] = text;
    document["load_seconds"] = load_seconds;
    print_json(document);
  } else {
    write_output("\n");
    flush_output();
    if (!arguments.quiet) print_stats(stats, engine, options.sampler.seed, load_seconds);
  }
  if (stats.reason == StopReason::kInterrupted) {
    fail(ErrorCode::kInterrupted, "interrupted after {} tokens", stats.generated_tokens);
  }
}

}  // namespace

void add_run(CLI::App& app) {
  CLI::App* command = app.add_subcommand("run", "Continue a text with a model");
  auto arguments = std::make_shared<RunArguments>();
  arguments->common.add_to(*command);
  CLI::Option* prompt = command->add_option("-p,--prompt", arguments->prompt,
                                            "Text to continue (default: the start of a text)");
  command
      ->add_option("-f,--file", arguments->prompt_file, "Read the prompt from a file, - for stdin")
      ->excludes(prompt);
  arguments->generation.add_to(
      *command, "Generate at most this many tokens (default: 256, or what the context leaves)",
      "Context in tokens, prompt and answer together (default: the model's)");
  command->add_flag("--echo", arguments->echo, "Print the prompt before its continuation");
  command->add_flag("-q,--quiet", arguments->quiet, "No statistics on stderr");
  command->footer(
      "Example:\n  tercet run models/novel-b158.gguf -p \"She opened the letter\" -n 100 "
      "--temp 0.7 --seed 1");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace tercet::cli
