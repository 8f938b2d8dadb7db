// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/common/numbers.h"
#include "cli/common/output.h"
#include "cli/common/progress.h"
#include "cli/common/signals.h"
#include "cli/common/terminal_text.h"
#include "cli/learn/commands.h"
#include "cli/learn/live_view.h"
#include "cli/learn/ranks.h"
#include "cli/learn/recipe_options.h"
#include "core/error.h"
#include "learn/pretrain/initial_model.h"
#include "learn/pretrain/presets.h"
#include "learn/pretrain/trainer.h"

namespace tercet::cli {
namespace {

using learn::EvalReport;
using learn::Recipe;
using learn::RunInfo;
using learn::SkipReport;
using learn::StepReport;

struct PretrainArguments {
  std::string preset;
  std::optional<std::filesystem::path> config;
  std::filesystem::path out;
  bool print_recipe = false;
  bool resume = false;
  bool verify_data = false;
  bool json = false;
  std::optional<int64_t> ranks;
  Json flags = Json::object();  // recipe fields given on the command line
};

// " (books 3.1416, web 2.7183)"; nothing for one data set.
std::string corpora_text(const std::vector<learn::CorpusLoss>& corpora) {
  if (corpora.size() < 2) return "";
  std::string text;
  for (const learn::CorpusLoss& corpus : corpora) {
    text +=
        fmt::format("{}{} {:.4f}", text.empty() ? " (" : ", ", corpus.name, corpus.validation_loss);
  }
  return text + ")";
}

std::string eval_text(const EvalReport& r) {
  std::string text = fmt::format("step {:>6}  validation loss {:.4f}{}  perplexity {}{}", r.step,
                                 r.validation_loss, corpora_text(r.corpora),
                                 r.perplexity < 1e7 ? fmt::format("{:.2f}", r.perplexity)
                                                    : fmt::format("{:.2e}", r.perplexity),
                                 r.best ? "  (best)" : "");
  if (r.loss_as_trained) text += fmt::format("  (as trained: {:.4f})", *r.loss_as_trained);
  return text;
}

// Prints what the trainer reports: progress on stderr, or JSON lines on stdout.
class Reporter {
 public:
  explicit Reporter(bool json) : json_(json) {}

  learn::TrainEvents events() {
    learn::TrainEvents events;
    events.on_verify = [this](const VerifyProgress& progress) { verify(progress); };
    events.on_start = [this](const RunInfo& info) { start(info); };
    events.on_step = [this](const StepReport& report) { step(report); };
    events.on_skip = [this](const SkipReport& report) { skip(report); };
    events.on_eval = [this](const EvalReport& report) { eval(report); };
    events.on_sample = [this](int64_t step, const std::string& text) { sample(step, text); };
    return events;
  }

 private:
  void line(const Json& json) {
    write_output(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    flush_output();
  }

  void verify(const VerifyProgress& p) {
    if (!check_) {
      check_ =
          std::make_unique<Progress>("checking data", static_cast<int64_t>(p.bytes_total), json_);
    }
    check_->update(static_cast<int64_t>(p.bytes_done), format_bytes(p.bytes_total));
  }

  void start(const RunInfo& info) {
    check_.reset();  // clears its line
    if (info.resumed && info.checkpoint_version != info.code_version) warn_of_version(info);
    if (json_) {
      return line({{"event", "start"},
                   {"first_step", info.first_step},
                   {"steps", info.recipe.steps},
                   {"parameters", info.config.parameter_count()},
                   {"gemm_gflops", info.gemm_gflops},
                   {"corpora", learn::to_json(info.corpora)},
                   {"recipe", learn::to_json(info.recipe)}});
    }
    view_ = std::make_unique<LiveView>(info.first_step, info.recipe.steps, info.gemm_gflops);
    const ModelConfig& c = info.config;
    view_->message(
        fmt::format("{} model, {} parameters ({} in {} linear maps), {} layers of width {}",
                    info.recipe.family, format_count(static_cast<uint64_t>(c.parameter_count())),
                    format_count(static_cast<uint64_t>(c.linear_parameter_count())),
                    to_string(c.linear), c.num_hidden_layers, c.hidden_size));
    view_->message(fmt::format(
        "{} steps of {} tokens = {} tokens, {} on {}{} thread(s), {:.0f} GFLOP/s GEMM",
        info.recipe.steps, info.tokens_per_step,
        format_count(static_cast<uint64_t>(info.recipe.steps * info.tokens_per_step)),
        info.recipe.precision, info.ranks > 1 ? fmt::format("{} ranks of ", info.ranks) : "",
        info.threads, info.gemm_gflops));
    for (const learn::CorpusInfo& corpus : info.corpora) {
      view_->message(fmt::format("{:.2f} epochs of {} ({} tokens), {:.3g} % of the sequences",
                                 corpus.epochs, corpus.path, format_count(corpus.tokens),
                                 100 * corpus.share));
    }
    if (!info.recipe.init_from.empty() && !info.resumed) {
      view_->message(fmt::format("starts from {}, {} optimizer state", info.recipe.init_from,
                                 info.kept_optimizer ? "with its" : "without"));
    }
    if (info.resumed) view_->message(fmt::format("resumed after step {}", info.first_step));
  }

  // Other code may round or order otherwise: the promise of identical bits is off.
  static void warn_of_version(const RunInfo& info) {
    write_error_output(fmt::format(
        "tercet: warning: the checkpoint was written by tercet {}, this is tercet {}: the run goes "
        "on, but not certainly to the same bits\n",
        info.checkpoint_version.empty() ? "of an older version" : info.checkpoint_version,
        info.code_version));
  }

  void step(const StepReport& r) {
    if (json_) return line(learn::to_json(r));
    view_->step(r);
  }

  void skip(const SkipReport& r) {
    if (json_) return line(learn::to_json(r));
    view_->warning(
        fmt::format("step {:>6}  skipped: loss {:.4f}, gradient norm {:.3g}; the mean "
                    "of recent losses is {:.4f}",
                    r.step, r.loss, r.grad_norm, r.recent_loss));
  }

  void eval(const EvalReport& r) {
    if (json_) return line(learn::to_json(r));
    view_->message(eval_text(r));
  }

  void sample(int64_t step, const std::string& text) {
    if (json_) return line({{"event", "sample"}, {"step", step}, {"text", text}});
    // The model's own words: no control characters.
    view_->message(fmt::format("step {:>6}  sample: {}", step, terminal_text(text)));
  }

  bool json_;
  std::unique_ptr<Progress> check_;
  std::unique_ptr<LiveView> view_;
};

// What makes no sense is refused before any work, with the file that says so.
void check_recipe(const Recipe& recipe, const std::optional<std::filesystem::path>& config,
                  int64_t ranks) {
  try {
    const Recipe ready = learn::resolved(recipe, ranks);
    if (!ready.init_from.empty()) {
      learn::config_from(HfModel(ready.init_from), ready, 0);
      return;
    }
    constexpr int64_t kAnyVocabulary = 512;
    learn::model_config(ready, kAnyVocabulary, 1, 2);
  } catch (const Error& error) {
    if (config) throw Error(error.code(), config->string() + ": " + error.what());
    if (recipe.init_from.empty()) throw Error(ErrorCode::kUsage, error.what());
    throw;
  }
}

// The preset, what the file says on top of it, and what the command line says on top of that.
Recipe assembled(const PretrainArguments& arguments) {
  std::vector<learn::RecipePart> parts;
  if (arguments.config) {
    parts.push_back({read_json_file(*arguments.config), arguments.config->string()});
  }
  parts.push_back({arguments.flags, "command line"});
  return learn::assembled_recipe(arguments.preset, parts);
}

void report_end(const PretrainArguments& arguments, const learn::TrainResult& result) {
  if (arguments.json) {
    write_output(Json({{"event", "done"},
                       {"out", arguments.out.string()},
                       {"steps", result.steps},
                       {"tokens", result.tokens},
                       {"parameters", result.parameters},
                       {"validation_loss", finite_or_null(result.validation_loss)},
                       {"perplexity", finite_or_null(result.perplexity)},
                       {"step_ms", result.step_ms},
                       {"seconds", result.seconds}})
                     .dump() +
                 "\n");
    return;
  }
  print_text("{}: {} tokens in {}, validation loss {:.4f}, perplexity {:.2f}\n",
             arguments.out.string(), format_count(static_cast<uint64_t>(result.tokens)),
             format_seconds(result.seconds), result.validation_loss, result.perplexity);
  print_text("next: tercet convert {} model.gguf && tercet run model.gguf -p \"...\"\n",
             arguments.out.string());
}

void train(const PretrainArguments& arguments, const Recipe& recipe, learn::Team team) {
  if (team.is_first()) announce_stop("\nstopping after this step; again to stop at once\n");
  learn::TrainResult result;
  {
    Reporter reporter(arguments.json);
    result = learn::pretrain(recipe, arguments.out, arguments.resume,
                             team.is_first() ? reporter.events() : learn::TrainEvents(),
                             &stop_requested(), team, arguments.verify_data);
  }
  if (team.is_first()) report_end(arguments, result);
}

void run(const PretrainArguments& arguments) {
  const bool says_recipe = arguments.config || !arguments.preset.empty() ||
                           arguments.flags.size() > arguments.flags.count("data");
  if (arguments.resume && says_recipe) {
    fail(ErrorCode::kUsage,
         "--resume continues with the recipe of the run; leave out --preset, --config and recipe "
         "options other than --data");
  }
  if (arguments.resume && arguments.print_recipe) {
    fail(ErrorCode::kUsage,
         "--print-recipe is for new runs; that of a run lies in its log.jsonl, in the first line");
  }
  const Recipe recipe = assembled(arguments);
  if (arguments.print_recipe) {
    check_recipe(recipe, arguments.config, arguments.ranks.value_or(1));
    print_text("{}\n",
               learn::to_json(learn::resolved(recipe, arguments.ranks.value_or(1))).dump(2));
    return;
  }
  if (arguments.out.empty()) fail(ErrorCode::kUsage, "give the directory to write: --out DIR");
  if (!arguments.resume && recipe.data.empty()) {
    fail(ErrorCode::kUsage, "give the training data: --data DIR, made by `tercet data build`");
  }
  if (!arguments.resume) check_recipe(recipe, arguments.config, arguments.ranks.value_or(1));
  with_ranks(arguments.ranks.value_or(0), Interruption::kOfAll,
             [&](learn::Team team) { train(arguments, recipe, team); });
}

}  // namespace

void add_pretrain(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "pretrain",
      "Train a model from scratch: BitNet b1.58, BitNet b1 or their full-precision twin");
  auto arguments = std::make_shared<PretrainArguments>();
  command->add_option(
      "--preset", arguments->preset,
      "Size and recipe: " + learn::preset_names() + "; --config and options win over it");
  command->add_option("--config", arguments->config, "Recipe: a JSON file; options win over it");
  command->add_flag("--print-recipe", arguments->print_recipe,
                    "Print the whole recipe as JSON, ready for --config, and train nothing");
  command->add_option("--out", arguments->out, "Directory for log, checkpoints and model");
  command->add_flag(
      "--resume", arguments->resume,
      "Continue the run in --out from its newest checkpoint; of a finished one print the "
      "result");
  command
      ->add_option("--ranks", arguments->ranks,
                   "Processes on this machine that share the training; without it as many as "
                   "torchrun, mpirun or srun have started")
      ->check(CLI::Range(1, 4096));
  command->add_flag("--verify-data", arguments->verify_data,
                    "With --resume: read all shards again, also those that look unchanged");
  command->add_flag("--json", arguments->json, "Print JSON lines on stdout and nothing else there");
  add_recipe_options(*command, {}, [arguments](const std::string& field, Json value) {
    arguments->flags[field] = std::move(value);
  });
  command->footer(
      "Example:\n  tercet pretrain --data data/ --preset 8m --out run/\n"
      "  tercet pretrain --preset 8m --family b1 --print-recipe > recipe.json\n"
      "  tercet pretrain --config recipe.json --data a/=0.7 --data b/=0.3 --out run/\n"
      "  tercet pretrain --out run/ --resume\n"
      "  torchrun --nnodes 2 --nproc-per-node 1 --no-python ... tercet pretrain ...");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace tercet::cli
