// SPDX-License-Identifier: Apache-2.0
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
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

constexpr const char* kGgufName = "model.gguf";

using learn::LayerReport;
using learn::PtqOptions;
using learn::PtqPlan;
using learn::PtqResult;

std::string ranks_text(const PtqPlan& plan) {
  return plan.hardware.ranks > 1 ? fmt::format(", for each of {} ranks", plan.hardware.ranks) : "";
}

// What is trained, and what would be if there were memory for it.
void print_training(const PtqPlan& plan, const PtqOptions& options) {
  const bool is_left_out = plan.training.steps == 0 && options.block_training.steps == learn::kAuto;
  if (is_left_out) {
    print_text("training of blocks is left out: one takes more than --max-memory to train\n");
  }
  if (plan.tuning.steps == 0 && options.end_to_end.steps == learn::kAuto) {
    print_text("the last pass is left out: the model takes more than --max-memory to train\n");
  }
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
}

void print_time(const PtqPlan& plan) {
  const learn::PlanHardware& hardware = plan.hardware;
  print_text("time: about {} ({:.3g} TFLOP){}\n", format_seconds(plan.seconds), plan.flops * 1e-12,
             ranks_text(plan));
  for (const learn::PlanStage& stage : plan.stages) {
    if (stage.seconds == 0) continue;
    print_text("  {:<10} {:>12} {:>12.4g} TFLOP {:>12} through memory\n", stage.name,
               format_seconds(stage.seconds), stage.flops * 1e-12,
               format_bytes(static_cast<uint64_t>(stage.memory_bytes)));
  }
  print_text("  at {:.0f} GFLOP/s, {:.0f} in bf16, {:.1f} GB/s of memory, {:.2g} GB/s of disk{}",
             hardware.gflops, hardware.bf16_gflops, hardware.memory_gbps, hardware.disk_gbps,
             hardware.assumes_disk ? " (assumed)" : "");
  if (hardware.ranks > 1) {
    print_text("; {} sent by each rank at {:.3g} GB/s{}", format_bytes(plan.network_bytes),
               hardware.network_gbps, hardware.assumes_network ? " (assumed)" : "");
  }
  print_text("\n");
}

void print_plan(const PtqPlan& plan, const PtqOptions& options) {
  if (plan.assumed_weights) print_text("the weights are not there: planned from config.json\n");
  print_text("calibration: {} tokens in {} windows{}, {} of activations{}{}\n",
             format_count(static_cast<uint64_t>(plan.tokens)), plan.windows,
             plan.assumed_tokens ? " (assumed, no text was read)" : "",
             format_bytes(plan.activation_bytes), plan.spills ? " on disk" : "", ranks_text(plan));
  print_text("memory: about {} at most, {} of them for one block ({})\n",
             format_bytes(plan.peak_memory), format_bytes(plan.block_bytes), plan.widest_work);
  print_text("disk: {} for the model, {} in all\n", format_bytes(plan.output_bytes),
             format_bytes(plan.disk_bytes));
  print_training(plan, options);
  print_time(plan);
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
  Reporter(bool json, const PtqOptions& options) : json_(json), options_(options) {}

  learn::PtqEvents events() {
    learn::PtqEvents events;
    events.on_plan = [this](const PtqPlan& plan, bool resumed) { begin(plan, resumed); };
    events.on_block = [this](int64_t done, int64_t total, const std::vector<LayerReport>& layers,
                             bool resumed) { block(done, total, layers, resumed); };
    events.on_training = [this](int64_t done, int step, int steps, double loss) {
      if (progress_) {
        progress_->update(
            done, fmt::format("step {}/{} of block {}, loss {:.4g}", step, steps, done + 1, loss));
      }
    };
    events.on_tuning = [this](int64_t done, int64_t total, double kl) { tuning(done, total, kl); };
    events.on_measured = [this](int64_t done, int64_t total) { measured(done, total); };
    events.on_evaluation = [this](int64_t done, int64_t total) { evaluation(done, total); };
    return events;
  }

 private:
  void line(const Json& json) {
    write_output(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    flush_output();
  }

  void begin(const PtqPlan& plan, bool resumed) {
    if (!json_) {
      if (!resumed) print_training(plan, options_);
      flush_output();  // before anything of the progress
      progress_ = std::make_unique<Progress>("quantize: blocks", plan.blocks);
      return;
    }
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
    if (resumed) progress_->begin_at(done);
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
      tuning_->begin_at(done - 1);
    }
    tuning_->update(done, fmt::format("KL {:.4f}", kl));
  }

  void measured(int64_t done, int64_t total) {
    if (json_) return line({{"event", "measured"}, {"block", done}, {"blocks", total}});
    if (!measured_) {
      progress_.reset();
      tuning_.reset();
      measured_ = std::make_unique<Progress>("errors: blocks", total);
    }
    measured_->update(done);
  }

  void evaluation(int64_t done, int64_t total) {
    if (json_) return;
    if (!evaluation_) {
      progress_.reset();
      tuning_.reset();
      measured_.reset();
      evaluation_ = std::make_unique<Progress>("evaluate: blocks", total);
    }
    evaluation_->update(done);
  }

  bool json_;
  const PtqOptions& options_;  // as given
  std::unique_ptr<Progress> progress_;
  std::unique_ptr<Progress> tuning_;
  std::unique_ptr<Progress> measured_;
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

ErrorCode error_of_child(int exit_status) {
  for (const ErrorCode code :
       {ErrorCode::kUsage, ErrorCode::kBadInput, ErrorCode::kIo, ErrorCode::kInterrupted}) {
    if (exit_status == exit_code(code)) return code;
  }
  return ErrorCode::kInternal;
}

// The file that the runtime half makes of the directory.
learn::PackedFile write_gguf(const QuantizeArguments& arguments, const PtqOptions& options,
                             Json& report) {
  const std::string path = (options.out / kGgufName).string();
  const ChildResult child =
      run_and_capture(program_path().parent_path() / "tercet",
                      {"convert", options.out.string(), path, "--type", arguments.gguf_type,
                       "--rest-type", to_string(*options.rest.head), "--embedding-type",
                       to_string(*options.rest.embedding), "--json"});
  if (child.exit_status != 0) {
    fail(error_of_child(child.exit_status),
         "the model in '{}' is complete, but its GGUF file was not written for the reason above; "
         "--resume tries again, tercet convert makes one of another type",
         options.out.string());
  }
  report = parse_json(child.output, "tercet convert");
  learn::PackedFile file;
  file.name = kGgufName;
  file.type = report.value("type", "");
  file.embedding_type = report.value("embedding_type", "");
  file.head_type = report.value("rest_type", "");
  file.bytes = report.value("file_bytes", uint64_t{0});
  file.linear_bits_per_weight = report.value("linear_bits_per_weight", 0.0);
  file.model_bits_per_weight = report.value("model_bits_per_weight", 0.0);
  return file;
}

PtqResult run_reported(const QuantizeArguments& arguments, const PtqOptions& options,
                       learn::Team team, Json& gguf) {
  Reporter reporter(arguments.json, options);
  learn::PtqEvents events;
  if (team.is_first()) events = reporter.events();
  if (team.is_first() && why_no_gguf(arguments).empty()) {
    events.write_file = [&] { return write_gguf(arguments, options, gguf); };
  }
  team.check_agreement({{"the version of tercet", version()}});
  try {
    if (team.is_first()) announce_stop("\nstopping; finished blocks are kept\n");
    return learn::quantize_model(options, events, &stop_requested(), team);
  } catch (const c10::Error& error) {
    learn::rethrow_torch_error(error, "--max-memory, --ctx or --calib-tokens");
  }
}

void print_file(const PtqOptions& options, const learn::PackedFile& file) {
  print_text("{}: {}, linear maps {} at {:.4f} bits with everything counted\n",
             (options.out / file.name).string(), format_bytes(file.bytes), file.type,
             file.linear_bits_per_weight);
  print_text("  the whole file at {:.4f} bits a weight: embedding {}, head {}, norms f32\n",
             file.model_bits_per_weight, file.embedding_type, file.head_type);
}

void quantize(const QuantizeArguments& arguments, const PtqOptions& options, learn::Team team) {
  Json gguf;
  const PtqResult result = run_reported(arguments, options, team, gguf);
  if (!team.is_first()) return;
  const std::string model = (result.file ? options.out / result.file->name : options.out).string();
  if (arguments.json) {
    Json document = learn::to_json(result);
    document["event"] = "done";
    document["out"] = options.out.string();
    document["model"] = model;
    document["gguf"] = gguf;
    document["version"] = version();
    write_output(document.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    return;
  }
  print_result(arguments, result);
  if (result.file) {
    print_file(options, *result.file);
  } else {
    print_text("no GGUF file: {}\n", why_no_gguf(arguments));
  }
  print_text("next: tercet run {} -p \"...\"\n", model);
}

// The machine that --plan-... describe, or so many ranks on this one.
PtqPlan plan(const QuantizeArguments& arguments, const PtqOptions& options) {
  learn::PlanHardware hardware = arguments.hardware;
  if (hardware.ranks > 1 && arguments.ranks) {
    fail(ErrorCode::kUsage,
         "--ranks are those on this machine, --plan-ranks those of the plan; give one of them");
  }
  const int sharing = static_cast<int>(arguments.ranks.value_or(1));
  hardware.ranks = std::max(hardware.ranks, sharing);
  return learn::plan_run(options, hardware, sharing);
}

void run(const QuantizeArguments& arguments) {
  const PtqOptions options = options_of(arguments);
  if (arguments.dry_run) {
    const PtqPlan planned = plan(arguments, options);
    return arguments.json ? print_json(learn::to_json(planned)) : print_plan(planned, options);
  }
  if (arguments.plans_elsewhere) {
    fail(ErrorCode::kUsage, "--plan-... describe another machine, for --dry-run");
  }
  if (options.out.empty()) fail(ErrorCode::kUsage, "give the directory to write: --out DIR");
  with_ranks(arguments.ranks.value_or(0), Interruption::kEndsRest,
             [&](learn::Team team) { quantize(arguments, options, team); });
}

}  // namespace

void add_quantize(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "quantize",
      "Make a full-precision model ternary or binary, with some text and block by block");
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
