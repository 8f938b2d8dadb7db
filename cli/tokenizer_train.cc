// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/common/numbers.h"
#include "cli/common/output.h"
#include "cli/common/progress.h"
#include "cli/common/signals.h"
#include "core/cpu.h"
#include "core/error.h"
#include "learn/data/corpus.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/trainer.h"

namespace tercet::cli {
namespace {

struct TokenizerArguments {
  std::vector<std::filesystem::path> corpus;
  std::filesystem::path out;
  TrainerOptions options;
  CorpusOptions corpus_options;
  bool overwrite = false;
  bool json = false;
};

// Data that was built with a tokenizer is of use with that one alone.
void check_unused(const std::filesystem::path& out) {
  for (const char* name : {"tokenizer.model", "tokenizer.json"}) {
    if (!std::filesystem::exists(out / name)) continue;
    fail(ErrorCode::kUsage,
         "'{}' already holds a tokenizer; choose another directory, or replace it with --overwrite",
         out.string());
  }
}

void train(TokenizerArguments arguments) {
  if (!arguments.overwrite) check_unused(arguments.out);
  CorpusReader reader(arguments.corpus, arguments.corpus_options);
  if (arguments.options.threads == 0) arguments.options.threads = read_cpu_info().physical_cores;
  Progress progress("reading", static_cast<int64_t>(reader.stored_bytes_total()), arguments.json);
  const TextSource source = [&](std::string& text) {
    throw_if_stopped();
    DocumentPiece piece;
    if (!reader.next(piece)) {
      progress.message("training the tokenizer ...");
      return false;
    }
    progress.update(static_cast<int64_t>(reader.stored_bytes_read()));
    text = std::move(piece.text);
    return true;
  };
  const TrainerStats stats = train_tokenizer(source, arguments.options, arguments.out);
  const Tokenizer trained = Tokenizer::load(arguments.out);
  if (arguments.json) {
    return print_json({{"out", arguments.out.string()},
                       {"vocab_size", trained.vocab_size()},
                       {"corpus_bytes", stats.corpus_bytes},
                       {"sample_bytes", stats.sample_bytes}});
  }
  print_text("{}: {} pieces, trained on {} of {}\n", (arguments.out / "tokenizer.model").string(),
             trained.vocab_size(), format_bytes(stats.sample_bytes),
             format_bytes(stats.corpus_bytes));
}

}  // namespace

void add_tokenizer_train(CLI::App& app) {
  CLI::App* group = app.add_subcommand("tokenizer", "Train a tokenizer");
  group->footer("Example:\n  tercet tokenizer train books/ --vocab-size 4096 --out tok/");
  group->require_subcommand(1);
  CLI::App* command =
      group->add_subcommand("train", "Train a SentencePiece BPE tokenizer with byte fallback");
  auto arguments = std::make_shared<TokenizerArguments>();
  arguments->options.threads = 0;
  command
      ->add_option(
          "CORPUS", arguments->corpus,
          "Files or directories: plain text, or JSON lines (.jsonl); each may be .gz or .zst")
      ->required();
  command->add_option("--vocab-size", arguments->options.vocab_size, "Pieces")->required();
  command->add_option("--out", arguments->out, "Directory to write")->required();
  command
      ->add_option("--text-field", arguments->corpus_options.text_field,
                   "Field of JSON lines that holds the text")
      ->capture_default_str();
  command
      ->add_option("--character-coverage", arguments->options.character_coverage,
                   "Share of characters that become pieces")
      ->capture_default_str();
  command->add_option("--seed", arguments->options.seed, "Of the sample of a large corpus");
  command->add_option("-t,--threads", arguments->options.threads, "Threads (default: all cores)");
  command->add_flag("--overwrite", arguments->overwrite,
                    "Replace a tokenizer that is in --out already; data built with it becomes "
                    "useless");
  command->add_flag("--json", arguments->json,
                    "Print one JSON document on stdout and nothing else there");
  command->footer("Example:\n  tercet tokenizer train books/ --vocab-size 4096 --out tok/");
  command->callback([arguments] { train(*arguments); });
}

}  // namespace tercet::cli
