// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/common/numbers.h"
#include "cli/common/output.h"
#include "cli/common/progress.h"
#include "cli/common/signals.h"
#include "cli/synthetic_options.h"
#include "version/version.h"

namespace tercet::cli {
namespace {

struct SynthesizeArguments {
  std::string shape;
  std::string target;
  SyntheticArguments weights;
  bool json = false;
};

void synthesize(const SynthesizeArguments& arguments) {
  const SyntheticShape& shape = find_synthetic_shape(arguments.shape);
  const ConvertOptions options = arguments.weights.convert_options();
  std::optional<Progress> progress;
  const auto show = [&](int64_t done, int64_t total, std::string_view name) {
    if (!progress) progress.emplace("synthesize: tensors", total);
    progress->update(done, name);
  };
  const ConvertReport report =
      convert(arguments.weights.source(shape), arguments.target, options, show, &stop_requested());
  progress.reset();
  if (arguments.json) {
    return print_json({{"shape", shape.name},
                       {"target", arguments.target},
                       {"architecture", report.architecture},
                       {"type", to_string(report.linear_type)},
                       {"rest_type", to_string(report.rest_type)},
                       {"seed", arguments.weights.seed},
                       {"parameters", shape.config.parameter_count()},
                       {"tensors", report.tensors},
                       {"file_bytes", report.bytes},
                       {"linear_bits_per_weight", report.linear_bits_per_weight},
                       {"version", version()}});
  }
  print_text("wrote {}\n  {} in {} tensors: {}, random weights\n", arguments.target,
             format_bytes(report.bytes), report.tensors, shape.description);
  print_text("  linear maps {}, {:.4f} bits per weight; the rest {}; architecture {}\n",
             to_string(report.linear_type), report.linear_bits_per_weight,
             to_string(report.rest_type), report.architecture);
}

}  // namespace

void add_synthesize(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "synthesize", "Write a model of a known shape with random weights, to measure speed with");
  auto arguments = std::make_shared<SynthesizeArguments>();
  command->add_option("SHAPE", arguments->shape, fmt::format("One of {}", synthetic_shape_names()))
      ->required();
  command->add_option("DST", arguments->target, "The GGUF file to write")->required();
  arguments->weights.add_to(*command);
  command->add_flag("--json", arguments->json,
                    "Print one JSON document on stdout and nothing else there");
  command->footer(
      "Example:\n  tercet synthesize 2b4t /tmp/2b4t.gguf --type trit5\n"
      "  tercet bench /tmp/2b4t.gguf");
  command->callback([arguments] { synthesize(*arguments); });
}

}  // namespace tercet::cli
