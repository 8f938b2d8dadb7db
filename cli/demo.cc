// SPDX-License-Identifier: Apache-2.0
// The whole job in a few minutes: text, tokenizer, training, packing, and what the embedded models
// can do. Every step runs a command that the user could have typed, and shows it.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/common/learning_half.h"
#include "cli/common/numbers.h"
#include "cli/common/output.h"
#include "cli/common/progress.h"
#include "cli/common/side_by_side.h"
#include "cli/common/signals.h"
#include "cli/model_argument.h"
#include "core/cpu.h"
#include "core/error.h"
#include "core/file.h"
#include "core/rng.h"
#include "runtime/engine.h"

namespace tercet::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kColumnWidth = 46;
// Enough that the documents which validate are longer than a window of training.
constexpr size_t kLeastSampledBytes = size_t{32} << 10;

struct DemoArguments {
  std::string text;
  std::string work;
  std::string prompt = "She opened the letter with a trembling hand, and";
  int64_t tokens = 60;
  double train_seconds = 60;
  double sample_seconds = 15;
  bool json = false;
};

using Arguments = std::vector<std::string>;

std::string joined(const Arguments& words) {
  std::string line = "tercet";
  for (const std::string& word : words) {
    const bool quoted = word.find(' ') != std::string::npos;
    line += quoted ? " \"" + word + "\"" : " " + word;
  }
  return line;
}

class Demo {
 public:
  explicit Demo(const DemoArguments& arguments)
      : arguments_(arguments),
        ternary_(bundled_model("novel-b158.gguf")),
        twin_(bundled_model("novel-f16.gguf")),
        work_(make_work_directory()),
        colour_(stderr_style().colour && ::isatty(STDOUT_FILENO) == 1) {}

  void run() {
    heading("1  A text to learn from");
    const fs::path text = provide_text();
    heading("2  A tokenizer and token shards");
    step({"tokenizer", "train", text.string(), "--vocab-size", "512", "--out", path("tok")});
    step({"data", "build", text.string(), "--tokenizer", path("tok"), "--validation-fraction",
          "0.05", "--overwrite", "--out", path("data")});
    heading(fmt::format("3  A ternary model, trained for about {}",
                        fmt::format("{:.0f} s", arguments_.train_seconds)));
    train();
    heading("4  Packed to 1.6 bits per weight, checked against its source");
    step({"convert", path("run"), path("tiny.gguf"), "--type", "trit5", "--verify"});
    step({"run", path("tiny.gguf"), "-p", "The", "-n", "40", "--seed", "1", "--echo", "--quiet"});
    heading("5  The embedded ternary model beside its full-precision twin");
    compare();
    say(fmt::format("\nThe files of this demo are in {}\n", work_.string()));
  }

 private:
  std::string path(const char* name) const { return (work_ / name).string(); }

  fs::path make_work_directory() const {
    if (!arguments_.work.empty()) {
      make_directories(arguments_.work);
      return arguments_.work;
    }
    std::string pattern = (fs::temp_directory_path() / "tercet-demo-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) {
      fail(ErrorCode::kIo, "cannot make a directory like '{}'; give one with --work", pattern);
    }
    return pattern;
  }

  // With --json stdout holds the one document and the story goes to stderr.
  void say(const std::string& text) const {
    if (arguments_.json) {
      write_error_output(text);
      return;
    }
    write_output(text);
    flush_output();
  }

  void heading(const std::string& text) const {
    throw_if_stopped();
    say(colour_ ? fmt::format("\n\033[1m{}\033[0m\n", text) : fmt::format("\n{}\n", text));
  }

  // A command that failed has said why; its class of error becomes ours.
  [[noreturn]] void fail_like(int exit_status, const Arguments& words) const {
    const ErrorCode code = exit_status == 2   ? ErrorCode::kUsage
                           : exit_status == 3 ? ErrorCode::kBadInput
                           : exit_status == 4 ? ErrorCode::kIo
                                              : ErrorCode::kInternal;
    fail(code, "the demo ends here, at '{}'", joined(words));
  }

  // Shows a command, runs it with its progress on our stderr, and prints what it says.
  std::string step(const Arguments& words) const {
    say(fmt::format("$ {}\n", joined(words)));
    const ChildResult result = run_and_capture(program_path(), words);
    throw_if_stopped();
    if (result.exit_status != 0) {
      fail_like(result.exit_status, words);
    }
    say(result.output);
    return result.output;
  }

  Json json_of(Arguments words) const {
    words.push_back("--json");
    const ChildResult result = run_and_capture(program_path(), words);
    throw_if_stopped();
    if (result.exit_status != 0) {
      fail_like(result.exit_status, words);
    }
    return parse_json(result.output, joined(words));
  }

  fs::path provide_text() {
    if (!arguments_.text.empty()) {
      say(fmt::format("{}\n", arguments_.text));
      return arguments_.text;
    }
    say("none was given (--text FILE), so the embedded ternary model writes one\n");
    const fs::path file = work_ / "sampled.txt";
    write_text_file(file, sample_from_embedded());
    say(fmt::format("{}: {}\n", file.string(), format_bytes(fs::file_size(file))));
    return file;
  }

  // Many short texts, one after the other, until the time is up and they are enough to train on.
  std::string sample_from_embedded() const {
    const Model model = Model::load(ternary_);
    Engine engine(model, chosen_kernels(),
                  {.threads = read_cpu_info().physical_cores,
                   .context = model.config().max_position_embeddings});
    const Tokenizer& tokenizer = tokenizer_of(model);
    GenerateOptions options;
    options.sampler = {.temperature = 0.9, .top_k = 0, .top_p = 0.95, .min_p = 0.02};
    options.stop_ids = model.config().eos_token_ids;
    options.stop = &stop_requested();
    const auto start = std::chrono::steady_clock::now();
    const auto elapsed = [&] {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    Progress progress("sampling", static_cast<int64_t>(arguments_.sample_seconds));
    std::string text;
    const auto enough = [&] {
      return elapsed() >= arguments_.sample_seconds && text.size() >= kLeastSampledBytes;
    };
    for (uint64_t seed = 1; !enough(); ++seed) {
      options.sampler.seed = seed;
      std::vector<int32_t> ids = tokenizer.encode_prompt("");
      const std::vector<int32_t> start_ids = ids;
      options.max_tokens = engine.context() - static_cast<int64_t>(ids.size());
      engine.generate(start_ids, options, [&](int32_t id) {
        ids.push_back(id);
        progress.update(static_cast<int64_t>(elapsed()), format_count(text.size()) + " bytes");
        return !enough();
      });
      throw_if_stopped();
      text += tokenizer.decode(ids) + "\n<|endoftext|>\n";
    }
    return text;
  }

  Arguments training(int64_t steps) const {
    return {"pretrain",
            "--data",
            path("data"),
            "--family",
            "b1.58",
            "--hidden-size",
            "128",
            "--intermediate-size",
            "384",
            "--num-hidden-layers",
            "3",
            "--sequence-length",
            "128",
            "--batch-size",
            "32",
            "--learning-rate",
            "0.006",
            "--steps",
            std::to_string(steps)};
  }

  // Steps that fit the time, from a few that are measured and thrown away.
  int64_t affordable_steps() const {
    constexpr int64_t kTrialSteps = 6;
    Arguments words = training(kTrialSteps);
    words.insert(words.end(), {"--eval-tokens", "1024", "--sample-every", "0", "--checkpoint-every",
                               "0", "--json", "--out", path("trial")});
    std::error_code ignored;
    fs::remove_all(work_ / "trial", ignored);
    const ChildResult result = run_and_capture(program_path(), words);
    throw_if_stopped();
    if (result.exit_status != 0) {
      fail_like(result.exit_status, words);
    }
    const size_t last = result.output.rfind('\n', result.output.size() - 2);
    const Json done = parse_json(std::string_view(result.output).substr(last + 1), "pretrain");
    const double step_seconds = done.at("step_ms").get<double>() / 1e3;
    return std::max<int64_t>(20, static_cast<int64_t>(arguments_.train_seconds / step_seconds));
  }

  void train() {
    const int64_t steps = affordable_steps();
    Arguments words = training(steps);
    std::error_code ignored;
    fs::remove_all(work_ / "run", ignored);
    words.insert(words.end(), {"--eval-every", std::to_string(std::max<int64_t>(1, steps / 6)),
                               "--sample-every", std::to_string(std::max<int64_t>(1, steps / 2)),
                               "--eval-tokens", "4096", "--out", path("run")});
    step(words);
  }

  // What the other commands say of one embedded model.
  Json measure(const std::string& name, const fs::path& model) const {
    const std::string tokens = std::to_string(arguments_.tokens);
    const Json info = json_of({"inspect", model.string()}).at("model");
    const Json run = json_of({"run", model.string(), "-p", arguments_.prompt, "-n", tokens,
                              "--temp", "0.7", "--seed", "5"});
    const Json score =
        json_of({"perplexity", model.string(), "--text", bundled_model("heldout.txt").string()});
    return {{"name", name},
            {"path", model.string()},
            {"text", arguments_.prompt + run.at("text").get<std::string>()},
            {"parameters", info.at("parameters")},
            {"linear_bits_per_weight", info.at("linear_bits_per_weight")},
            {"model_bits_per_weight", info.at("model_bits_per_weight")},
            {"file_bytes", fs::file_size(model)},
            {"peak_rss_bytes", run.at("peak_rss_bytes")},
            {"generated_tokens_per_s", run.at("generated_tokens_per_s")},
            {"perplexity", score.at("perplexity")}};
  }

  static std::vector<std::string> table_row(const Json& measured) {
    return {measured.at("name").get<std::string>(),
            format_count(measured.at("parameters").get<uint64_t>()),
            fmt::format("{:.2f}", measured.at("linear_bits_per_weight").get<double>()),
            fmt::format("{:.2f}", measured.at("model_bits_per_weight").get<double>()),
            format_bytes(measured.at("file_bytes").get<uint64_t>()),
            format_bytes(measured.at("peak_rss_bytes").get<uint64_t>()),
            fmt::format("{:.0f}", measured.at("generated_tokens_per_s").get<double>()),
            fmt::format("{:.1f}", measured.at("perplexity").get<double>())};
  }

  void compare() const {
    const Json ternary = measure("ternary (b1.58)", ternary_);
    const Json twin = measure("full precision (f16)", twin_);
    const auto string = [](const Json& of, const char* field) {
      return of.at(field).get<std::string>();
    };
    say("\n" +
        side_by_side(string(ternary, "name"), string(ternary, "text"), string(twin, "name"),
                     string(twin, "text"), kColumnWidth) +
        "\n");
    say(format_table({"model", "parameters", "bits/linear weight", "bits/weight", "file", "memory",
                      "tokens/s", "perplexity"},
                     {table_row(ternary), table_row(twin)}));
    say("  (perplexity on models/heldout.txt, a text neither has seen; tokens/s of this run)\n");
    if (arguments_.json) {
      print_json({{"directory", work_.string()},
                  {"prompt", arguments_.prompt},
                  {"models", Json::array({ternary, twin})}});
    }
  }

  DemoArguments arguments_;
  fs::path ternary_;
  fs::path twin_;
  fs::path work_;
  bool colour_;
};

}  // namespace

void add_demo(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "demo", "Train a tiny ternary model, pack it, and compare the embedded models");
  auto arguments = std::make_shared<DemoArguments>();
  command->add_option("--text", arguments->text,
                      "A text to train on (default: one that the embedded ternary model writes)");
  command->add_option("--work", arguments->work, "Where to keep the files (default: temporary)");
  command->add_option("-p,--prompt", arguments->prompt, "What the embedded models continue")
      ->capture_default_str();
  command->add_option("-n,--tokens", arguments->tokens, "Length of the continuation")
      ->capture_default_str();
  command->add_option("--train-seconds", arguments->train_seconds, "Time to train for")
      ->check(CLI::Range(1.0, 1e6))
      ->capture_default_str();
  command
      ->add_option("--sample-seconds", arguments->sample_seconds, "Least time to sample text for")
      ->check(CLI::Range(1.0, 1e6))
      ->capture_default_str();
  command->add_flag("--json", arguments->json, "Print the comparison as one JSON document");
  command->footer("Example:\n  tercet demo --text my-novel.txt --train-seconds 120");
  command->callback([arguments] { Demo(*arguments).run(); });
}

}  // namespace tercet::cli
