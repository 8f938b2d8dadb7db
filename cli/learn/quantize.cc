// SPDX-License-Identifier: Apache-2.0
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cli/common/learning_half.h"
#include "cli/common/numbers.h"
#include "cli/common/output.h"
#include "cli/common/progress.h"
#include "cli/common/signals.h"
#include "version/version.h"
#include "cli/learn/commands.h"
#include "core/error.h"
#include "learn/pretrain/torch_session.h"
#include "learn/ptq/quantize_model.h"

namespace tercet::cli {
namespace {

using learn::BlockTrainingOptions;
using learn::LayerReport;
using learn::PtqMethod;
using learn::PtqOptions;
using learn::PtqPlan;
using learn::PtqResult;

// As given; what is not given follows from the method.
struct QuantizeArguments {
  PtqOptions options;
  std::string method = "pt-bitnet";
  std::string group_size;
  std::string activations = "int8";
  std::string shrinkage;
  std::optional<double> cross_term;
  std::optional<int> flip_rounds;
  bool feedback = false;
  bool no_feedback = false;
  std::optional<double> held_out;
  int grid_points = 20;
  bool no_hessian = false;
  std::string gguf_type = "auto";
  std::string head_type = "f16";
  bool dry_run = false;
  bool json = false;
};

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

PtqOptions options_of(const QuantizeArguments& arguments) {
  PtqOptions options = arguments.options;
  const PtqMethod method = learn::parse_ptq_method(arguments.method);
  learn::LayerOptions& layer = options.layer;
  layer = learn::default_layer_options(method);
  layer.grouping = learn::parse_grouping(arguments.group_size.empty() ? default_group_size(method)
                                                                      : arguments.group_size);
  layer.grid_points = arguments.grid_points;
  layer.hessian = !arguments.no_hessian;
  const bool solves = method == PtqMethod::kGptq || method == PtqMethod::kPtBitnet;
  if (!solves && (arguments.flip_rounds || arguments.feedback || arguments.no_feedback)) {
    fail(ErrorCode::kUsage, "--flips and --feedback are stages of pt-bitnet and gptq, not of {}",
         arguments.method);
  }
  if (arguments.cross_term) layer.cross_term = *arguments.cross_term;
  if (arguments.flip_rounds) layer.flip_rounds = *arguments.flip_rounds;
  if (arguments.feedback) layer.feedback = true;
  if (arguments.no_feedback) layer.feedback = false;
  if (!arguments.shrinkage.empty()) layer.shrinkage = parse_shrinkage(arguments.shrinkage);
  options.held_out = arguments.held_out.value_or(layer.shrinkage < 0 ? 0.125 : 0.0);
  options.int8_activations = arguments.activations == "int8";
  return options;
}

void print_plan(const PtqPlan& plan) {
  print_text("calibration: {} tokens in {} windows, {} of activations{}\n",
             format_count(static_cast<uint64_t>(plan.tokens)), plan.windows,
             format_bytes(plan.activation_bytes), plan.spills ? " on disk" : "");
  print_text("memory: about {} at most, {} of them for one block\n", format_bytes(plan.peak_memory),
             format_bytes(plan.block_bytes));
  print_text("disk: {} for the model, {} in all\n", format_bytes(plan.output_bytes),
             format_bytes(plan.disk_bytes));
  print_text("time: about {} ({:.3g} TFLOP at {:.0f} GFLOP/s)\n", format_seconds(plan.seconds),
             plan.flops * 1e-12, plan.gflops);
}

std::string stages_text(const LayerReport& layer) {
  std::string text;
  for (const learn::StageError& stage : layer.stages) {
    text += fmt::format("{}{} {:.4f}", text.empty() ? "" : ", ", stage.stage, stage.error);
  }
  return text;
}

// What a run says while it lasts: progress on stderr, or JSON lines on stdout.
class Reporter {
 public:
  explicit Reporter(bool json) : json_(json) {}

  learn::PtqEvents events() {
    learn::PtqEvents events;
    events.on_plan = [this](const PtqPlan& plan) { begin(plan); };
    events.on_block = [this](int64_t done, int64_t total, const std::vector<LayerReport>& layers,
                             bool resumed) { block(done, total, layers, resumed); };
    events.on_evaluation = [this](int64_t done, int64_t total) { evaluation(done, total); };
    return events;
  }

 private:
  void line(const Json& json) {
    write_output(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    flush_output();
  }

  void begin(const PtqPlan& plan) {
    if (!json_) return;
    Json json = learn::to_json(plan);
    json["event"] = "plan";
    line(json);
  }

  void block(int64_t done, int64_t total, const std::vector<LayerReport>& layers, bool resumed) {
    if (json_) {
      Json names = Json::array();
      for (const LayerReport& layer : layers) names.push_back(layer.name);
      return line({{"event", "block"},
                   {"block", done},
                   {"blocks", total},
                   {"maps", names},
                   {"resumed", resumed}});
    }
    if (!progress_) progress_ = std::make_unique<Progress>("quantize: blocks", total);
    const double error =
        layers.empty() || layers.back().stages.empty() ? 0 : layers.back().stages.back().error;
    progress_->update(done, layers.empty()
                                ? std::string()
                                : fmt::format("{} error {:.4f}", layers.back().name, error));
  }

  void evaluation(int64_t done, int64_t total) {
    if (json_) return;
    if (!evaluation_) {
      progress_.reset();
      evaluation_ = std::make_unique<Progress>("evaluate: blocks", total);
    }
    evaluation_->update(done);
  }

  bool json_;
  std::unique_ptr<Progress> progress_;
  std::unique_ptr<Progress> evaluation_;
};

void print_result(const QuantizeArguments& arguments, const PtqResult& result) {
  print_text("{:<44} {:>11} {:>6} {:>20} {:>9}  {}\n", "map", "shape", "bits", "-1 / 0 / +1",
             "scale", "error against the target after each stage");
  for (const LayerReport& layer : result.layers) {
    print_text("{:<44} {:>11} {:>6.3f} {:>6.3f} {:>6.3f} {:>6.3f} {:>9.3g}  {}\n", layer.name,
               fmt::format("{}x{}", layer.rows, layer.cols), layer.bits_per_weight, layer.shares[0],
               layer.shares[1], layer.shares[2], layer.mean_scale, stages_text(layer));
  }
  print_text("{}: {} weights at {:.4f} bits (scales in f16), in {} with {} of memory\n",
             arguments.options.out.string(),
             format_count(static_cast<uint64_t>(result.quantized_weights)), result.bits_per_weight,
             format_seconds(result.seconds), format_bytes(result.peak_rss_bytes));
  if (!result.evaluation) return;
  const learn::EvaluationReport& e = *result.evaluation;
  print_text("{} tokens: {:.4f} nats, perplexity {:.3f}; the source {:.4f} nats, {:.3f}\n",
             e.tokens, e.mean_nll, e.perplexity(), e.source_nll, e.source_perplexity());
  print_text("KL from the source {:.4f} nats, same best token at {:.1f} %\n", e.kl_divergence_mean,
             100 * e.top1_agreement);
}

// The file that the runtime half makes of the directory.
struct GgufOutcome {
  std::string why_not;  // empty: there is a file
  std::string path;
  Json report;  // of tercet convert
};

GgufOutcome write_gguf(const QuantizeArguments& arguments) {
  const PtqMethod method = learn::parse_ptq_method(arguments.method);
  GgufOutcome outcome;
  if (arguments.gguf_type == "none") outcome.why_not = "--gguf-type none";
  if (!learn::is_packable(method)) {
    outcome.why_not =
        fmt::format("{} has shifts or column scales, which no packed type holds", arguments.method);
  }
  if (!outcome.why_not.empty()) return outcome;
  const std::filesystem::path out = arguments.options.out;
  outcome.path = (out / "model.gguf").string();
  const ChildResult child =
      run_and_capture(program_path().parent_path() / "tercet",
                      {"convert", out.string(), outcome.path, "--type", arguments.gguf_type,
                       "--rest-type", arguments.head_type, "--json"});
  if (child.exit_status != 0) {
    fail(ErrorCode::kUsage,
         "the directory '{}' is complete, but its GGUF file was not written for the reason above; "
         "tercet convert with another --type makes one",
         out.string());
  }
  outcome.report = parse_json(child.output, "tercet convert");
  return outcome;
}

PtqResult run_reported(const QuantizeArguments& arguments, const PtqOptions& options) {
  Reporter reporter(arguments.json);
  try {
    return learn::quantize_model(options, reporter.events(), &stop_requested());
  } catch (const c10::Error& error) {
    learn::rethrow_torch_error(error);
  }
}

void run(const QuantizeArguments& arguments) {
  const PtqOptions options = options_of(arguments);
  if (arguments.dry_run) {
    const PtqPlan plan = learn::plan_run(options);
    return arguments.json ? print_json(learn::to_json(plan)) : print_plan(plan);
  }
  if (options.out.empty()) fail(ErrorCode::kUsage, "give the directory to write: --out DIR");
  const PtqResult result = run_reported(arguments, options);
  const GgufOutcome gguf = write_gguf(arguments);
  const std::string model = gguf.why_not.empty() ? gguf.path : options.out.string();
  if (arguments.json) {
    Json document = learn::to_json(result);
    document["event"] = "done";
    document["out"] = options.out.string();
    document["model"] = model;
    document["gguf"] = gguf.report;
    document["version"] = version();
    write_output(document.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    return;
  }
  print_result(arguments, result);
  if (gguf.why_not.empty()) {
    print_text("{}: {}, linear maps {} at {:.4f} bits with everything counted\n", gguf.path,
               format_bytes(gguf.report.value("file_bytes", uint64_t{0})),
               gguf.report.value("type", ""), gguf.report.value("linear_bits_per_weight", 0.0));
  } else {
    print_text("no GGUF file: {}\n", gguf.why_not);
  }
  print_text("next: tercet run {} -p \"...\"\n", model);
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
  command.add_option("--flips", arguments->flip_rounds, "Rounds of greedy flips, 0: none")
      ->check(CLI::Range(0, 1000))
      ->group(group);
  command
      .add_flag("--feedback", arguments->feedback,
                "Feed the error of columns into those that follow, as GPTQ does")
      ->group(group);
  command.add_flag("--no-feedback", arguments->no_feedback, "Leave that out of gptq")->group(group);
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

void add_training_options(CLI::App& command, BlockTrainingOptions& training) {
  const char* group = "Training block by block";
  command
      .add_option("--block-steps", training.steps,
                  "Train each block's codes, scales and norms for so many steps against the "
                  "full-precision block, 0: not")
      ->check(CLI::Range(0, 100000))
      ->group(group);
  command.add_option("--block-windows", training.windows_per_step, "Windows of such a step")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str()
      ->group(group);
  command.add_option("--block-rate", training.latent_rate, "Learning rate of weights over scale")
      ->check(CLI::Range(1e-6, 1.0))
      ->capture_default_str()
      ->group(group);
}

void add_text_options(CLI::App& command, const std::shared_ptr<QuantizeArguments>& arguments) {
  PtqOptions& options = arguments->options;
  command.add_option("--calib", options.calibration,
                     "Text to calibrate on; lines <|endoftext|> divide documents");
  command.add_option("--calib-tokens", options.calibration_tokens, "Tokens of it to use, 0: all")
      ->capture_default_str();
  command.add_option("--ctx", options.context,
                     "Positions of a window; the model's own, 2048 at most, if not given");
  command.add_option("--eval-text", options.evaluation,
                     "Text on which to compare with the source when all is done");
  command.add_option("--eval-tokens", options.evaluation_tokens, "Tokens of it to use, 0: all");
}

}  // namespace

void add_quantize(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "quantize", "Make a full-precision model ternary or binary, without training");
  auto arguments = std::make_shared<QuantizeArguments>();
  PtqOptions& options = arguments->options;
  command->add_option("SRC", options.source, "The HF directory of the model")->required();
  command->add_option("--method", arguments->method, learn::ptq_method_names())
      ->capture_default_str();
  command->add_option("--out", options.out, "The HF directory to write");
  add_text_options(*command, arguments);
  command->add_option("--group-size", arguments->group_size,
                      "What a scale is for: tensor, row or a number of columns");
  command
      ->add_option("--activations", arguments->activations,
                   "What ternary maps see at run time: int8 (W1.58A8) or float (W1.58A16)")
      ->check(CLI::IsMember({"int8", "float"}))
      ->capture_default_str();
  command->add_option("--only", options.only,
                      "Quantize the maps whose HF names match this regular expression");
  command
      ->add_option("--gguf-type", arguments->gguf_type,
                   "Type of ternary maps in OUT/model.gguf, as of tercet convert; none: no file")
      ->check(CLI::IsMember({"auto", "tq1_0", "tq2_0", "trit4", "trit5", "i2_s", "none"}))
      ->capture_default_str();
  command->add_option("--head-type", arguments->head_type, "Type of embedding and head there")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "q8_0"}))
      ->capture_default_str();
  command
      ->add_option("--max-memory", options.max_memory,
                   "Beyond this activations go to disk, e.g. 4GB; half of the machine's")
      ->transform(CLI::AsSizeValue(false));
  command->add_option("--threads", options.threads, "0: one for each core")
      ->check(CLI::Range(0, 1024));
  command->add_flag("--resume", options.resume, "Continue the run in --out with the next block");
  command->add_flag("--dry-run", arguments->dry_run, "Say what the run will need; write nothing");
  command->add_flag("--json", arguments->json, "Print JSON lines on stdout and nothing else there");
  add_stage_options(*command, arguments);
  add_training_options(*command, options.block_training);
  command->footer(
      "Example:\n  tercet quantize model/ --calib text.txt --out ternary/\n"
      "  tercet quantize model/ --method gptq --group-size 128 --calib text.txt --out gptq/\n"
      "  tercet quantize model/ --calib text.txt --out ternary/ --resume\n"
      "  tercet convert model.gguf model/ --type f32     makes SRC of a GGUF file");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace tercet::cli
