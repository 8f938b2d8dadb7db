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
#include "cli/learn/commands.h"
#include "cli/learn/quantize_options.h"
#include "cli/learn/ranks.h"
#include "core/error.h"
#include "learn/pretrain/torch_session.h"
#include "learn/ptq/quantize_model.h"
#include "version/version.h"

namespace tercet::cli {
namespace {

using learn::LayerReport;
using learn::PtqMethod;
using learn::PtqOptions;
using learn::PtqPlan;
using learn::PtqResult;

void print_plan(const PtqPlan& plan) {
  print_text("calibration: {} tokens in {} windows, {} of activations{}\n",
             format_count(static_cast<uint64_t>(plan.tokens)), plan.windows,
             format_bytes(plan.activation_bytes), plan.spills ? " on disk" : "");
  print_text("memory: about {} at most, {} of them for one block{}\n",
             format_bytes(plan.peak_memory), format_bytes(plan.block_bytes),
             plan.ranks > 1 ? fmt::format(", of each of {} ranks", plan.ranks) : "");
  print_text("disk: {} for the model, {} in all\n", format_bytes(plan.output_bytes),
             format_bytes(plan.disk_bytes));
  if (plan.training.steps > 0) {
    print_text("training: {} steps of {} tokens a block towards {}, {} more sweeps\n",
               plan.training.steps, plan.training.tokens_per_step,
               plan.training.loss == learn::BlockLoss::kPredictions
                   ? "the model's predictions"
                   : "the full-precision block's output",
               plan.training.sweeps);
  }
  if (plan.tuning.steps > 0) {
    print_text("last pass: {} steps of {} tokens on scales and norms\n", plan.tuning.steps,
               plan.tuning.tokens_per_step);
  }
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
    events.on_tuning = [this](int64_t done, int64_t total, double kl) { tuning(done, total, kl); };
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

  void tuning(int64_t done, int64_t total, double kl) {
    if (json_) return line({{"event", "tuning"}, {"step", done}, {"steps", total}, {"kl", kl}});
    if (!tuning_) {
      progress_.reset();
      tuning_ = std::make_unique<Progress>("tune: steps", total);
    }
    tuning_->update(done, fmt::format("KL {:.4f}", kl));
  }

  void evaluation(int64_t done, int64_t total) {
    if (json_) return;
    if (!evaluation_) {
      progress_.reset();
      tuning_.reset();
      evaluation_ = std::make_unique<Progress>("evaluate: blocks", total);
    }
    evaluation_->update(done);
  }

  bool json_;
  std::unique_ptr<Progress> progress_;
  std::unique_ptr<Progress> tuning_;
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
  if (result.tuning) {
    print_text("last pass: KL from the source {:.4f} nats at first, {:.4f} at last\n",
               result.tuning->first_loss, result.tuning->last_loss);
  }
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

PtqResult run_reported(const QuantizeArguments& arguments, const PtqOptions& options,
                       learn::Team team) {
  Reporter reporter(arguments.json);
  team.check_agreement({{"the version of tercet", version()}});
  try {
    return learn::quantize_model(options, team.is_first() ? reporter.events() : learn::PtqEvents(),
                                 &stop_requested(), team);
  } catch (const c10::Error& error) {
    learn::rethrow_torch_error(error);
  }
}

void quantize(const QuantizeArguments& arguments, const PtqOptions& options, learn::Team team) {
  const PtqResult result = run_reported(arguments, options, team);
  if (!team.is_first()) return;
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

void run(const QuantizeArguments& arguments) {
  const PtqOptions options = options_of(arguments);
  if (arguments.dry_run) {
    const PtqPlan plan = learn::plan_run(options, arguments.ranks.value_or(1));
    return arguments.json ? print_json(learn::to_json(plan)) : print_plan(plan);
  }
  if (options.out.empty()) fail(ErrorCode::kUsage, "give the directory to write: --out DIR");
  with_ranks(arguments.ranks.value_or(0), Interruption::kEndsRest,
             [&](learn::Team team) { quantize(arguments, options, team); });
}

}  // namespace

void add_quantize(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "quantize", "Make a full-precision model ternary or binary, without training");
  auto arguments = std::make_shared<QuantizeArguments>();
  add_quantize_options(*command, arguments);
  command->footer(
      "Example:\n  tercet quantize model/ --calib text.txt --out ternary/\n"
      "  tercet quantize model/ --method gptq --group-size 128 --calib text.txt --out gptq/\n"
      "  tercet quantize model/ --calib text.txt --out ternary/ --resume\n"
      "  tercet quantize model/ --calib text.txt --out ternary/ --ranks 2\n"
      "  tercet convert model.gguf model/ --type f32     makes SRC of a GGUF file");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace tercet::cli
