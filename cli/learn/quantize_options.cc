// SPDX-License-Identifier: Apache-2.0
#include "cli/learn/quantize_options.h"

#include <fmt/format.h>

#include "core/error.h"

namespace tercet::cli {
namespace {

using learn::BlockTrainingOptions;
using learn::PtqMethod;
using learn::PtqOptions;

double parse_shrinkage(const std::string& text) {
  if (text == "auto") return -1;
  try {
    size_t end = 0;
    const double value = std::stod(text, &end);
    if (end == text.size() && value >= 0 && value <= 100) return value;
  } catch (const std::exception&) {  // answered below
  }
  fail(ErrorCode::kUsage, "--shrinkage is '{}'; a number from 0 to 100 or auto", text);
}

std::string default_group_size(PtqMethod method) {
  return method == PtqMethod::kPt2Llm || method == PtqMethod::kArb ? "128" : "row";
}

void add_stage_options(CLI::App& command, const std::shared_ptr<QuantizeArguments>& arguments) {
  const char* group = "Stages (what is not given follows from the method)";
  command
      .add_option("--cross-term", arguments->cross_term,
                  "Share of the correction for what earlier maps did wrong, 0 to 1")
      ->group(group);
  command
      .add_option("--shrinkage", arguments->shrinkage,
                  "How much the Hessian's diagonal is raised, or auto: chosen on held-out text")
      ->group(group);
  command
      .add_option("--equalize", arguments->equalization,
                  "Scale input channels by their magnitude to this power and fold that into norms "
                  "and neighbouring maps; 0: not")
      ->capture_default_str()
      ->group(group);
  command
      .add_option(
          "--token-weights", arguments->token_weights,
          "What an error in the residual stream counts for: equal at all tokens, or residual, "
          "less where the stream is long")
      ->group(group);
  command.add_option("--flips", arguments->flip_rounds, "Rounds of greedy flips, 0: none")
      ->check(CLI::Range(0, 1000))
      ->group(group);
  command
      .add_flag("--feedback", arguments->feedback,
                "Feed the error of columns into those that follow, as GPTQ does")
      ->group(group);
  command.add_flag("--no-feedback", arguments->no_feedback, "Leave that out of gptq")
      ->excludes("--feedback")
      ->group(group);
  command.add_option("--grid-points", arguments->grid_points, "Thresholds that are tried")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str()
      ->group(group);
  command
      .add_flag("--no-hessian", arguments->no_hessian,
                "Choose thresholds by the weights alone, not by what they do to outputs")
      ->group(group);
  command
      .add_option("--held-out", arguments->held_out,
                  "Share of the calibration text that only judges")
      ->group(group);
}

void add_training_options(CLI::App& command, const std::shared_ptr<QuantizeArguments>& arguments) {
  BlockTrainingOptions& training = arguments->options.block_training;
  const char* group = "Training block by block (what is not given follows from the model's size)";
  command.add_flag("--no-training", arguments->no_training, "Neither this nor the last pass")
      ->group(group);
  command
      .add_option("--block-steps", arguments->block_steps,
                  "Train each block's codes, scales and norms for so many steps, 0: not")
      ->check(CLI::Range(0, 100000))
      ->group(group);
  command.add_option("--block-tokens", training.tokens_per_step, "Tokens of such a step")
      ->check(CLI::Range(1, 1 << 24))
      ->group(group);
  command
      .add_option("--block-loss", arguments->block_loss,
                  "What towards: the output of the full-precision block, or predictions of the "
                  "full-precision model")
      ->check(CLI::IsMember({"auto", "output", "predictions"}))
      ->capture_default_str()
      ->group(group);
  command
      .add_option("--sweeps", arguments->sweeps,
                  "More rounds over all blocks, each trained again between the others")
      ->check(CLI::Range(0, 1000))
      ->group(group);
  command.add_option("--precision", arguments->precision, "Of matrix products of pt-bitnet")
      ->check(CLI::IsMember({"bf16", "f32"}))
      ->capture_default_str()
      ->group(group);
  command.add_option("--block-rate", training.latent_rate, "Learning rate of weights over scale")
      ->check(CLI::Range(1e-6, 1.0))
      ->capture_default_str()
      ->group(group);
}

void add_tuning_options(CLI::App& command, const std::shared_ptr<QuantizeArguments>& arguments) {
  learn::EndToEndOptions& options = arguments->options.end_to_end;
  const char* group = "A last pass over the whole model";
  command
      .add_option("--tune-steps", arguments->tune_steps,
                  "Train scales and norms for so many steps against the source's predictions, 0: "
                  "not; the model is in memory")
      ->check(CLI::Range(0, 100000))
      ->group(group);
  command.add_option("--tune-tokens", options.tokens_per_step, "Tokens of such a step")
      ->check(CLI::Range(1, 1 << 24))
      ->group(group);
  command.add_option("--tune-rate", options.rate, "Learning rate")
      ->check(CLI::Range(1e-6, 1.0))
      ->capture_default_str()
      ->group(group);
}

void add_plan_options(CLI::App& command, const std::shared_ptr<QuantizeArguments>& arguments) {
  learn::PlanHardware& hardware = arguments->hardware;
  const char* group = "With --dry-run: another machine (what is not given is measured here)";
  const auto add = [&](const char* name, double& value, const char* text) {
    command
        .add_option_function<double>(
            name,
            [arguments, &value](double given) {
              value = given;
              arguments->plans_elsewhere = true;
            },
            text)
        ->check(CLI::Range(1e-3, 1e9))
        ->group(group);
  };
  add("--plan-gflops", hardware.gflops, "GFLOP/s of products in f32, of one rank");
  add("--plan-bf16-gflops", hardware.bf16_gflops,
      "The same in bf16, which pt-bitnet takes; as --plan-gflops if only that is given");
  add("--plan-bandwidth", hardware.memory_gbps, "GB/s of its memory");
  add("--plan-disk", hardware.disk_gbps, "GB/s of its disk; 0.5 if not given");
  add("--plan-network", hardware.network_gbps, "GB/s between ranks; 1 if not given");
  command
      .add_option_function<int>(
          "--plan-ranks",
          [arguments](int ranks) {
            arguments->hardware.ranks = ranks;
            arguments->plans_elsewhere = true;
          },
          "Ranks that share the work; --max-memory is for each")
      ->check(CLI::Range(1, 1 << 16))
      ->group(group);
}

void add_text_options(CLI::App& command, const std::shared_ptr<QuantizeArguments>& arguments) {
  PtqOptions& options = arguments->options;
  command.add_option("--calib", options.calibration,
                     "Text to calibrate on; lines <|endoftext|> divide documents");
  command
      .add_option("--calib-tokens", options.calibration_tokens,
                  "Tokens of it to use, 0: all; 65536 if not given, for training up to 262144")
      ->check(CLI::NonNegativeNumber);
  command
      .add_option("--ctx", options.context,
                  "Positions of a window; the model's own, 512 at most, if not given")
      ->check(CLI::NonNegativeNumber);
  command.add_flag("--cut", options.cut_documents,
                   "Cut documents to one window instead of dividing them into several");
  command.add_option("--eval-text", options.evaluation,
                     "Text on which to compare with the source when all is done");
  command
      .add_option("--eval-ctx", options.evaluation_context,
                  "Positions of a window there; the model's own, 2048 at most, if not given")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--eval-tokens", options.evaluation_tokens, "Tokens of it to use, 0: all")
      ->check(CLI::NonNegativeNumber);
}

}  // namespace

void add_quantize_options(CLI::App& command, const std::shared_ptr<QuantizeArguments>& arguments) {
  arguments->command = &command;
  PtqOptions& options = arguments->options;
  command
      .add_option("SRC", options.source,
                  "The HF directory of the model; with --dry-run its config.json is enough")
      ->required();
  command.add_option("--method", arguments->method, learn::ptq_method_names())
      ->capture_default_str();
  command.add_option("--out", options.out, "The HF directory to write");
  add_text_options(command, arguments);
  command.add_option("--group-size", arguments->group_size,
                     "What a scale is for: tensor, row or a number of columns");
  command
      .add_option("--activations", arguments->activations,
                  "What ternary maps see at run time: int8 (W1.58A8) or float (W1.58A16)")
      ->check(CLI::IsMember({"int8", "float"}))
      ->capture_default_str();
  command.add_option("--only", options.only,
                     "Quantize the maps whose HF names match this regular expression");
  command
      .add_option("--gguf-type", arguments->gguf_type,
                  "Type of ternary maps in OUT/model.gguf, as of tercet convert; none: no file")
      ->check(CLI::IsMember({"auto", "tq1_0", "tq2_0", "trit4", "trit5", "i2_s", "none"}))
      ->capture_default_str();
  command.add_option("--head-type", arguments->head_type,
                     "Type of the head there, and of the embedding: f32, f16 (if not given), bf16, "
                     "q8_0 or q6_k; what is measured goes by it");
  command.add_option("--embedding-type", arguments->embedding_type,
                     "Another type for the embedding, where the two are not one matrix");
  command
      .add_option("--max-memory", options.max_memory,
                  "Beyond this activations go to disk, e.g. 4GB; half of the machine's. For all "
                  "ranks of a machine together")
      ->transform(CLI::AsSizeValue(false));
  command.add_option("--threads", options.threads, "Of each rank; 0: one for each core")
      ->check(CLI::Range(0, 1024));
  command
      .add_option("--ranks", arguments->ranks,
                  "Processes on this machine that share the text and the work; without it as many "
                  "as torchrun, mpirun or srun have started")
      ->check(CLI::Range(1, 4096));
  command.add_flag("--resume", options.resume, "Continue the run in --out where it ended");
  command.add_flag("--dry-run", arguments->dry_run, "Say what the run will need; write nothing");
  command.add_flag("--json", arguments->json, "Print JSON lines on stdout and nothing else there");
  add_stage_options(command, arguments);
  add_training_options(command, arguments);
  add_tuning_options(command, arguments);
  add_plan_options(command, arguments);
}

namespace {

// What a user gives and what then has no effect would pass for something else.
void refuse(const QuantizeArguments& arguments, std::initializer_list<const char*> options,
            const std::string& why) {
  for (const char* option : options) {
    if (arguments.command->count(option) > 0) fail(ErrorCode::kUsage, "{} {}", option, why);
  }
}

void refuse_without_effect(const QuantizeArguments& arguments, PtqMethod method,
                           const PtqOptions& options) {
  const bool solves = method == PtqMethod::kGptq || method == PtqMethod::kPtBitnet;
  if (!solves) {
    refuse(arguments, {"--flips", "--feedback", "--no-feedback"},
           fmt::format("is a stage of pt-bitnet and gptq, not of {}", arguments.method));
  }
  if (!solves && method != PtqMethod::kGrid) {
    refuse(arguments, {"--grid-points", "--no-hessian"},
           fmt::format("is for methods that try thresholds, which {} does not", arguments.method));
  }
  if (!learn::needs_calibration(method)) {
    refuse(arguments, {"--token-weights", "--shrinkage", "--cross-term", "--held-out"},
           fmt::format("has nothing to do: {} looks at no activations", arguments.method));
  }
  if (method != PtqMethod::kPtBitnet && options.end_to_end.steps == 0) {
    refuse(arguments, {"--precision"}, fmt::format("is f32 in {}", arguments.method));
  }
  if (!learn::is_packable(method)) {
    refuse(arguments, {"--activations"},
           fmt::format("is for packed maps, and those of {} are not", arguments.method));
    if (arguments.gguf_type != "none") {
      refuse(arguments, {"--gguf-type"},
             fmt::format("has nothing to do: {}", why_no_gguf(arguments)));
    }
  }
  if (options.calibration.empty() && !learn::needs_text(options)) {
    refuse(arguments, {"--calib-tokens", "--ctx"}, "is for --calib, and there is none");
    if (options.evaluation.empty()) refuse(arguments, {"--cut"}, "is for texts, and there is none");
  }
  if (options.evaluation.empty()) {
    refuse(arguments, {"--eval-ctx", "--eval-tokens"}, "is for --eval-text, and there is none");
  }
  if (options.layer.flip_rounds == 0 && options.layer.shrinkage >= 0) {
    refuse(arguments, {"--held-out"}, "judges flips and --shrinkage auto, and there is neither");
  }
  if (options.block_training.steps != 0) {
    refuse(arguments, {"--flips", "--feedback", "--no-feedback", "--cross-term", "--held-out"},
           "is a stage of maps that are solved one by one, which training takes the place of; add "
           "--no-training or --block-steps 0");
    if (options.layer.shrinkage < 0) {
      fail(ErrorCode::kUsage,
           "--shrinkage auto goes with maps that are solved one by one; add --no-training or "
           "--block-steps 0");
    }
  } else {
    refuse(arguments, {"--block-tokens", "--block-loss", "--block-rate"},
           "is for the training of blocks, and there is none");
  }
  if (options.end_to_end.steps == 0) {
    refuse(arguments, {"--tune-tokens", "--tune-rate"}, "is for the last pass, and there is none");
  }
}

void settle_stages(const QuantizeArguments& arguments, PtqMethod method, PtqOptions& options) {
  const bool given = arguments.block_steps.value_or(0) > 0 ||
                     arguments.tune_steps.value_or(0) > 0 || arguments.sweeps.value_or(0) > 0;
  if (arguments.no_training && given) {
    fail(ErrorCode::kUsage, "--no-training goes with no --block-steps, --sweeps or --tune-steps");
  }
  const bool trains = method == PtqMethod::kPtBitnet && !arguments.no_training;
  const int by_default = trains ? learn::kAuto : 0;
  options.block_training.steps = arguments.block_steps.value_or(by_default);
  options.block_training.sweeps =
      arguments.sweeps.value_or(options.block_training.steps == 0 ? 0 : learn::kAuto);
  options.end_to_end.steps = arguments.tune_steps.value_or(by_default);
  if (arguments.block_loss == "output") options.block_training.loss = learn::BlockLoss::kOutput;
  if (arguments.block_loss == "predictions") {
    options.block_training.loss = learn::BlockLoss::kPredictions;
  }
}

// The file that is to be made says what embedding and head are measured as.
learn::RestTypes rest_types(const QuantizeArguments& arguments) {
  const std::string why = why_no_gguf(arguments);
  const bool given = !arguments.head_type.empty() || !arguments.embedding_type.empty();
  if (!why.empty() && given) {
    fail(ErrorCode::kUsage,
         "--head-type and --embedding-type are for the GGUF file, and there is none ({}); an HF "
         "directory keeps both as the source has them",
         why);
  }
  learn::RestTypes types;
  if (!why.empty()) return types;
  const std::string head = arguments.head_type.empty() ? "f16" : arguments.head_type;
  types.head = learn::parse_rest_type(head, "--head-type");
  types.embedding = types.head;
  if (!arguments.embedding_type.empty()) {
    types.embedding = learn::parse_rest_type(arguments.embedding_type, "--embedding-type");
  }
  return types;
}

std::optional<packing::Layout> layout_of(const QuantizeArguments& arguments) {
  if (!why_no_gguf(arguments).empty()) return std::nullopt;
  for (const packing::Layout layout :
       {packing::Layout::kTq1_0, packing::Layout::kTq2_0, packing::Layout::kI2S}) {
    if (arguments.gguf_type == to_string(layout)) return layout;
  }
  return std::nullopt;
}

}  // namespace

std::string why_no_gguf(const QuantizeArguments& arguments) {
  if (!learn::is_packable(learn::parse_ptq_method(arguments.method))) {
    return fmt::format("{} has shifts or column scales, which no packed type holds",
                       arguments.method);
  }
  return arguments.gguf_type == "none" ? "--gguf-type none" : "";
}

PtqOptions options_of(const QuantizeArguments& arguments) {
  PtqOptions options = arguments.options;
  const PtqMethod method = learn::parse_ptq_method(arguments.method);
  learn::LayerOptions& layer = options.layer;
  layer = learn::default_layer_options(method);
  layer.grouping = learn::parse_grouping(arguments.group_size.empty() ? default_group_size(method)
                                                                      : arguments.group_size);
  layer.grid_points = arguments.grid_points;
  layer.hessian = !arguments.no_hessian;
  if (arguments.cross_term) layer.cross_term = *arguments.cross_term;
  layer.equalization = arguments.equalization;
  if (!arguments.token_weights.empty()) {
    layer.token_weights = learn::parse_token_weights(arguments.token_weights);
  }
  if (arguments.flip_rounds) layer.flip_rounds = *arguments.flip_rounds;
  if (arguments.feedback) layer.feedback = true;
  if (arguments.no_feedback) layer.feedback = false;
  if (!arguments.shrinkage.empty()) layer.shrinkage = parse_shrinkage(arguments.shrinkage);
  options.held_out = arguments.held_out.value_or(layer.shrinkage < 0 ? 0.125 : 0.0);
  options.int8_activations = arguments.activations == "int8";
  options.uses_bf16 = arguments.precision == "bf16";
  options.layout = layout_of(arguments);
  options.rest = rest_types(arguments);
  settle_stages(arguments, method, options);
  refuse_without_effect(arguments, method, options);
  if (method != PtqMethod::kPtBitnet && options.end_to_end.steps == 0) options.uses_bf16 = false;
  return options;
}

}  // namespace tercet::cli
