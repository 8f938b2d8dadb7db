// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench/machine.h"
#include "cli/bench/measurement.h"
#include "cli/bench/report.h"
#include "cli/commands.h"
#include "cli/common/output.h"
#include "cli/common/progress.h"
#include "cli/common/signals.h"
#include "cli/head_argument.h"
#include "cli/memory_check.h"
#include "cli/model_argument.h"
#include "cli/synthetic_options.h"
#include "core/cpu.h"
#include "core/error.h"
#include "model/memory_source.h"

namespace tercet::cli {
namespace {

struct BenchArguments {
  std::string model;
  std::string shape;
  SyntheticArguments synthetic;
  std::optional<int64_t> distinct_layers;
  std::optional<int64_t> prompt_tokens;
  std::optional<int64_t> generated_tokens;
  BenchPlan plan;
  HeadArgument head;
  KvType kv_type = KvType::kF16;
  bool machine = false;
  bool force = false;
  bool json = false;
};

// A number that was not asked for never exceeds what the model can take.
BenchPlan plan_for(const Model& model, const BenchArguments& arguments) {
  const int64_t limit = model.config().max_position_embeddings;
  BenchPlan plan = arguments.plan;
  plan.prompt_tokens = arguments.prompt_tokens.value_or(std::min(plan.prompt_tokens, limit));
  plan.generated_tokens =
      arguments.generated_tokens.value_or(std::min(plan.generated_tokens, limit));
  plan.kv_type = arguments.kv_type;
  plan.head = arguments.head.precision(model);
  if (plan.threads.empty()) plan.threads = {read_cpu_info().physical_cores};
  return plan;
}

// Random weights in the shape asked for.
std::unique_ptr<MemorySource> make_weights(const BenchArguments& arguments) {
  if (!arguments.model.empty()) {
    fail(ErrorCode::kUsage, "MODEL and --shape exclude each other; give one of them");
  }
  const SyntheticShape& shape = find_synthetic_shape(arguments.shape);
  std::optional<Progress> progress;
  const auto show = [&](int64_t done, int64_t total, std::string_view name) {
    if (!progress) progress.emplace("bench: making tensors", total, arguments.json);
    progress->update(done, name);
  };
  return std::make_unique<MemorySource>(
      arguments.synthetic.source(shape), arguments.synthetic.convert_options(),
      arguments.distinct_layers.value_or(shape.distinct_layers), show, &stop_requested());
}

void bench(const BenchArguments& arguments) {
  BenchReport report;
  const KernelTable& kernels = chosen_kernels();
  if (arguments.machine) return bench_machine(kernels, arguments.plan.threads, arguments.json);
  std::unique_ptr<MemorySource> made;
  if (!arguments.shape.empty()) {
    made = make_weights(arguments);
    report.distinct_layers = made->distinct_layers();
  }

  const auto start = std::chrono::steady_clock::now();
  const Model model =
      made ? Model::load(std::move(made)) : load_model(arguments.model, arguments.force);
  report.load_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  report.plan = plan_for(model, arguments);
  if (!arguments.force) {
    check_memory_for_context(model,
                             std::max(report.plan.prompt_tokens, report.plan.generated_tokens),
                             arguments.kv_type);
  }
  report.model = model.path().string();
  report.model_bytes = model.source().file_bytes();
  report.layers = model.config().num_hidden_layers;
  if (report.distinct_layers == 0) report.distinct_layers = report.layers;
  report.isa = kernels.name;
  report.result = run_bench(model, kernels, report.plan, arguments.json);
  report.load_seconds += report.result.engine_seconds;
  if (arguments.json) return print_json(to_json(report));
  print_text("{}", format_report(report));
}

}  // namespace

void add_bench(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "bench",
      "Measure speed and memory of a model, and how near they come to the machine's bounds");
  auto arguments = std::make_shared<BenchArguments>();
  command->add_option("MODEL", arguments->model, "A GGUF file or an HF model directory");
  command->add_option(
      "--shape", arguments->shape,
      fmt::format("Measure random weights instead of a file: {}", synthetic_shape_names()));
  arguments->synthetic.add_to(*command);
  command
      ->add_option("--distinct-layers", arguments->distinct_layers,
                   "Of a --shape: hold only so many layers, repeated (default: all, 70b: 1)")
      ->check(CLI::Range(1, 4096));
  const BenchPlan usual;
  const auto count = CLI::Range(int64_t{0}, int64_t{1} << 30);
  command
      ->add_option(
          "-p,--prompt-tokens", arguments->prompt_tokens,
          fmt::format("Tokens of the prompt, 0 for none (default: {}, or what the context holds)",
                      usual.prompt_tokens))
      ->check(count);
  command
      ->add_option(
          "-n,--generated-tokens", arguments->generated_tokens,
          fmt::format("Tokens to generate, 0 for none (default: {}, or what the context holds)",
                      usual.generated_tokens))
      ->check(count);
  command
      ->add_option("-t,--threads", arguments->plan.threads,
                   "Threads; several numbers take turns (default: one per physical core)")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024));
  command
      ->add_option("-b,--batch", arguments->plan.batch,
                   "Sequences that generate together, their tokens counted as one rate")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("-r,--repetitions", arguments->plan.repetitions, "Measure this often")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  arguments->head.add_to(*command);
  add_kv_type(*command, arguments->kv_type);
  command->add_flag("--machine", arguments->machine,
                    "Measure only the bounds of this machine; takes -t");
  command->add_flag("--force", arguments->force, "Run even when the memory seems too small");
  command->add_flag("--json", arguments->json,
                    "Print one JSON document on stdout and nothing else there");
  command->footer(
      "Example:\n  tercet bench models/novel-b158.gguf -p 512 -n 128 -t 1,2 -r 5\n"
      "  tercet bench --shape 2b4t --type trit4");
  command->callback([arguments] { bench(*arguments); });
}

}  // namespace tercet::cli
