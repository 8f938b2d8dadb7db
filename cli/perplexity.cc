// SPDX-License-Identifier: Apache-2.0
#include "eval/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/common/numbers.h"
#include "cli/common/output.h"
#include "cli/common/progress.h"
#include "cli/common/signals.h"
#include "cli/head_argument.h"
#include "cli/memory_check.h"
#include "cli/model_argument.h"
#include "core/error.h"
#include "core/file.h"
#include "eval/runtime_scorer.h"
#include "eval/token_bytes.h"
#include "version/version.h"

namespace tercet::cli {
namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 30;
constexpr int64_t kDefaultContext = 2048;

struct PerplexityArguments {
  ModelArguments common;
  std::string text;
  std::string reference;
  HeadArgument head;
  std::optional<int64_t> context;
  int64_t stride = 0;
  int64_t limit_tokens = 0;
};

// Token ids mean the same in both models only if all pieces are equal.
void check_same_tokens(const Tokenizer& tokenizer, const Model& reference) {
  const Tokenizer& other = tokenizer_of(reference);
  bool same = tokenizer.vocab_size() == other.vocab_size();
  for (int32_t id = 0; same && id < tokenizer.vocab_size(); ++id) {
    same = tokenizer.piece(id).text == other.piece(id).text;
  }
  if (!same) {
    fail(ErrorCode::kUsage,
         "the reference '{}' has another tokenizer; token by token comparison "
         "needs the same one",
         reference.path().string());
  }
}

int64_t context_for(const PerplexityArguments& arguments, const Model& model,
                    const Model* reference) {
  if (arguments.context) return *arguments.context;
  int64_t context = std::min(kDefaultContext, model.config().max_position_embeddings);
  if (reference != nullptr) {
    context = std::min(context, reference->config().max_position_embeddings);
  }
  return context;
}

void print_table(const PerplexityResult& result) {
  print_text("perplexity      {:.4f} +- {:.4f}\n", result.perplexity, result.perplexity_stderr);
  print_text("mean NLL        {:.5f} +- {:.5f} nats per token\n", result.mean_nll,
             result.mean_nll_stderr);
  if (result.bits_per_byte) print_text("bits per byte   {:.4f}\n", *result.bits_per_byte);
  print_text("tokens          {} in {} windows\n", result.tokens, result.windows);
  if (result.kl_divergence_mean) {
    print_text("KL divergence   {:.6f} nats per token, from the reference\n",
               *result.kl_divergence_mean);
    print_text("top-1 agreement {:.2f} %\n", 100.0 * *result.top1_agreement);
  }
}

Json to_json(const PerplexityResult& result) {
  Json document = {{"perplexity", finite_or_null(result.perplexity)},
                   {"perplexity_stderr", finite_or_null(result.perplexity_stderr)},
                   {"mean_nll", finite_or_null(result.mean_nll)},
                   {"mean_nll_stderr", finite_or_null(result.mean_nll_stderr)},
                   {"tokens", result.tokens},
                   {"windows", result.windows},
                   {"bits_per_byte", Json()}};
  if (result.bits_per_byte) document["bits_per_byte"] = *result.bits_per_byte;
  if (result.kl_divergence_mean) {
    document["kl_divergence_mean"] = finite_or_null(*result.kl_divergence_mean);
    document["top1_agreement"] = *result.top1_agreement;
  }
  return document;
}

std::string read_text(const std::string& path) {
  std::string text =
      path == "-" ? read_standard_input(kMaxTextBytes) : read_text_file(path, kMaxTextBytes);
  // As training reads it.
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  if (text.empty()) fail(ErrorCode::kBadInput, "'{}' is empty; give a text to score", path);
  return text;
}

void perplexity(const PerplexityArguments& arguments) {
  const Model model = load_model(arguments.common.model, arguments.common.force);
  const Tokenizer& tokenizer = tokenizer_of(model);
  std::optional<Model> reference;
  if (!arguments.reference.empty()) {
    reference.emplace(load_model(arguments.reference, arguments.common.force));
    check_same_tokens(tokenizer, *reference);
  }
  const std::string text = read_text(arguments.text);
  const std::vector<int32_t> tokens = tokenizer.encode(text);
  // A vocabulary padded beyond the tokenizer's has ids without text.
  std::vector<int32_t> bytes = token_bytes(tokenizer);
  bytes.resize(static_cast<size_t>(model.config().vocab_size));

  EngineOptions engine_options = {
      .threads = arguments.common.thread_count(),
      .context = context_for(arguments, model, reference ? &*reference : nullptr),
      .kv_type = arguments.common.kv_type,
      .head = arguments.head.precision(model)};
  if (!arguments.common.force) {
    check_memory_for_context(model, engine_options.context, engine_options.kv_type);
    if (reference)
      check_memory_for_context(*reference, engine_options.context, engine_options.kv_type);
  }
  Engine engine(model, chosen_kernels(), engine_options);
  RuntimeScorer scorer(engine);

  PerplexityOptions options;
  options.context = engine_options.context;
  options.stride = arguments.stride;
  options.limit_tokens = arguments.limit_tokens;
  options.bos_id = tokenizer.add_bos() ? tokenizer.bos_id() : -1;
  options.token_bytes = bytes;
  options.stop = &stop_requested();
  std::optional<Progress> progress;
  options.progress = [&](int64_t done, int64_t total, double mean_nll) {
    if (!progress) progress.emplace("tokens", total);
    progress->update(done, fmt::format("perplexity {:.3f}", std::exp(mean_nll)));
  };

  const auto start = std::chrono::steady_clock::now();
  PerplexityResult result;
  if (reference) {
    Engine reference_engine(*reference, chosen_kernels(), engine_options);
    RuntimeScorer reference_scorer(reference_engine);
    result = compare_models(scorer, reference_scorer, tokens, options);
  } else {
    result = measure_perplexity(scorer, tokens, options);
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  progress.reset();

  if (!arguments.common.json) return print_table(result);
  Json document = to_json(result);
  document["model"] = arguments.common.model;
  if (reference) document["reference"] = arguments.reference;
  document["text"] = arguments.text;
  document["text_bytes"] = text.size();
  document["ctx"] = options.context;
  document["stride"] = result.stride;
  document["add_bos"] = options.bos_id >= 0;
  document["seconds"] = seconds;
  document["isa"] = engine.isa();
  document["threads"] = engine.threads();
  document["kv_type"] = to_string(engine.kv_type());
  document["version"] = version();
  print_json(document);
}

}  // namespace

void add_perplexity(CLI::App& app) {
  CLI::App* command = app.add_subcommand("perplexity", "Measure how well a model predicts a text");
  auto arguments = std::make_shared<PerplexityArguments>();
  arguments->common.add_to(*command);
  arguments->head.add_to(*command, "stored");
  command->add_option("--text", arguments->text, "The text, a UTF-8 file, - for stdin")->required();
  command->add_option("--reference", arguments->reference,
                      "Compare with this model token by token: KL divergence, top-1 agreement");
  command->add_option("--ctx", arguments->context,
                      "Positions per window (default: 2048, or the model's context if shorter)");
  command->add_option("--stride", arguments->stride,
                      "Tokens between windows (default: no overlap); only new tokens count");
  command->add_option("--limit-tokens", arguments->limit_tokens,
                      "Use only the first tokens of the text");
  command->footer(
      "Example:\n  tercet perplexity models/novel-b158.gguf --text novel.txt --ctx 512 "
      "--limit-tokens 20000");
  command->callback([arguments] { perplexity(*arguments); });
}

}  // namespace tercet::cli
