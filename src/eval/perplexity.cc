// SPDX-License-Identifier: Apache-2.0
#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "core/error.h"
#include "eval/log_softmax.h"

namespace tercet {
namespace {

// Tokens [begin, end) of the text; those from `first_scored` on count.
struct Window {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t first_scored = 0;
};

std::vector<Window> plan_windows(int64_t tokens, int64_t capacity, int64_t stride, bool has_bos) {
  std::vector<Window> windows;
  int64_t covered = 0;
  for (int64_t begin = 0; covered < tokens; begin += stride) {
    Window window{begin, std::min(begin + capacity, tokens), covered};
    if (!has_bos) window.first_scored = std::max(window.first_scored, begin + 1);
    covered = window.end;
    if (window.first_scored < window.end) windows.push_back(window);
  }
  return windows;
}

// Checks the options against the scorer and fills in the defaults.
PerplexityOptions completed(PerplexityOptions options, const Scorer& model) {
  if (options.context == 0) options.context = model.context();
  if (options.context < 2 || options.context > model.context()) {
    fail(ErrorCode::kUsage, "--ctx is {}, it must be between 2 and the context of '{}', {}",
         options.context, model.name(), model.context());
  }
  const int64_t capacity = options.context - (options.bos_id >= 0 ? 1 : 0);
  if (options.stride < 0 || options.stride > options.context) {
    fail(ErrorCode::kUsage, "--stride is {}, it must be between 1 and --ctx, {}", options.stride,
         options.context);
  }
  // With BOS a window holds one token of text less: a stride of the full context means no overlap.
  options.stride = options.stride == 0 ? capacity : std::min(options.stride, capacity);
  if (options.limit_tokens < 0) {
    fail(ErrorCode::kUsage, "--limit-tokens is {}, it must be positive", options.limit_tokens);
  }
  return options;
}

void check_tokens(std::span<const int32_t> tokens, const PerplexityOptions& options,
                  const Scorer& model) {
  for (const int32_t id : tokens) {
    if (id < 0 || id >= model.vocab_size()) {
      fail(ErrorCode::kBadInput,
           "the text has token {}, which '{}' with its vocabulary of {} does not know", id,
           model.name(), model.vocab_size());
    }
  }
  if (options.bos_id >= model.vocab_size()) {
    fail(ErrorCode::kBadInput, "the BOS token {} is outside the vocabulary of '{}', {}",
         options.bos_id, model.name(), model.vocab_size());
  }
  if (!options.token_bytes.empty() && std::ssize(options.token_bytes) < model.vocab_size()) {
    fail(ErrorCode::kInternal, "token_bytes has {} entries for a vocabulary of {}",
         options.token_bytes.size(), model.vocab_size());
  }
}

// Sums over the scored tokens.
class Tally {
 public:
  void add_token(double nll, int64_t bytes) {
    ++tokens_;
    nll_ += nll;
    nll_squared_ += nll * nll;
    bytes_ += bytes;
  }
  void add_comparison(double divergence, bool same_best) {
    divergence_ += divergence;
    agreements_ += same_best ? 1 : 0;
  }
  int64_t tokens() const { return tokens_; }
  double mean_nll() const { return tokens_ > 0 ? nll_ / static_cast<double>(tokens_) : 0.0; }

  PerplexityResult result(bool has_bytes, bool has_reference) const {
    const auto count = static_cast<double>(tokens_);
    PerplexityResult result;
    result.tokens = tokens_;
    result.mean_nll = mean_nll();
    result.perplexity = std::exp(result.mean_nll);
    if (tokens_ > 1) {
      const double variance = (nll_squared_ - count * result.mean_nll * result.mean_nll);
      result.mean_nll_stderr = std::sqrt(std::max(variance, 0.0) / (count - 1.0) / count);
      result.perplexity_stderr = result.perplexity * result.mean_nll_stderr;
    }
    if (has_bytes && bytes_ > 0) {
      result.bits_per_byte = nll_ / std::numbers::ln2 / static_cast<double>(bytes_);
    }
    if (has_reference) {
      result.kl_divergence_mean = divergence_ / count;
      result.top1_agreement = static_cast<double>(agreements_) / count;
    }
    return result;
  }

 private:
  int64_t tokens_ = 0;
  int64_t bytes_ = 0;
  int64_t agreements_ = 0;
  double nll_ = 0;
  double nll_squared_ = 0;
  double divergence_ = 0;
};

// One evaluation: `reference` may be null.
class Evaluation {
 public:
  Evaluation(Scorer& model, Scorer* reference, std::span<const int32_t> tokens,
             const PerplexityOptions& options)
      : model_(model), reference_(reference), tokens_(tokens), options_(options) {}

  PerplexityResult run(const std::vector<Window>& windows) {
    for (const Window& window : windows) total_ += window.end - window.first_scored;
    for (const Window& window : windows) score_window(window);
    PerplexityResult result = tally_.result(!options_.token_bytes.empty(), reference_ != nullptr);
    result.windows = std::ssize(windows);
    return result;
  }

 private:
  void score_window(const Window& window) {
    // inputs[i] predicts the text's token `offset + i + 1`; the window's last token predicts
    // nothing.
    const int64_t bos = options_.bos_id >= 0 ? 1 : 0;
    std::vector<int32_t> inputs;
    if (bos == 1) inputs.push_back(options_.bos_id);
    inputs.insert(inputs.end(), tokens_.begin() + window.begin, tokens_.begin() + window.end - 1);
    model_.reset();
    int64_t chunk = model_.max_chunk();
    if (reference_ != nullptr) {
      reference_->reset();
      chunk = std::min(chunk, reference_->max_chunk());
    }
    for (int64_t begin = 0; begin < std::ssize(inputs); begin += chunk) {
      if (options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed)) {
        fail(ErrorCode::kInterrupted, "interrupted after {} of {} tokens, mean NLL so far {:.4f}",
             tally_.tokens(), total_, tally_.mean_nll());
      }
      const int64_t count = std::min(chunk, std::ssize(inputs) - begin);
      const int64_t first_target = window.begin - bos + begin + 1;
      score_chunk(std::span(inputs).subspan(begin, count), first_target, window.first_scored);
      if (options_.progress) options_.progress(tally_.tokens(), total_, tally_.mean_nll());
    }
  }

  // inputs[i] predicts the text's token first_target + i.
  void score_chunk(std::span<const int32_t> inputs, int64_t first_target, int64_t first_scored) {
    const int64_t vocab = model_.vocab_size();
    const std::span<const float> logits = model_.advance(inputs);
    std::span<const float> reference_logits;
    if (reference_ != nullptr) reference_logits = reference_->advance(inputs);
    for (int64_t i = 0; i < std::ssize(inputs); ++i) {
      const int64_t target = first_target + i;
      if (target < first_scored) continue;
      const std::span<const float> row = logits.subspan(i * vocab, vocab);
      const SoftmaxRow softmax = checked_row(row, model_, target);
      const int32_t id = tokens_[target];
      tally_.add_token(softmax.log_normalizer - double{row[id]},
                       options_.token_bytes.empty() ? 0 : options_.token_bytes[id]);
      if (reference_ == nullptr) continue;
      const std::span<const float> other = reference_logits.subspan(i * vocab, vocab);
      const SoftmaxRow other_softmax = checked_row(other, *reference_, target);
      tally_.add_comparison(kl_divergence(other, other_softmax, row, softmax),
                            other_softmax.best == softmax.best);
    }
  }

  static SoftmaxRow checked_row(std::span<const float> row, const Scorer& scorer, int64_t target) {
    const SoftmaxRow softmax = softmax_row(row);
    if (!std::isfinite(softmax.log_normalizer)) {
      fail(ErrorCode::kBadInput,
           "'{}' gives logits that are not finite at token {} of the text; the model file is "
           "probably damaged",
           scorer.name(), target);
    }
    return softmax;
  }

  Scorer& model_;
  Scorer* reference_;
  std::span<const int32_t> tokens_;
  const PerplexityOptions& options_;
  Tally tally_;
  int64_t total_ = 0;
};

PerplexityResult evaluate(Scorer& model, Scorer* reference, std::span<const int32_t> tokens,
                          const PerplexityOptions& given) {
  const PerplexityOptions options = completed(given, model);
  if (options.limit_tokens > 0 && options.limit_tokens < std::ssize(tokens)) {
    tokens = tokens.first(static_cast<size_t>(options.limit_tokens));
  }
  check_tokens(tokens, options, model);
  const bool has_bos = options.bos_id >= 0;
  const std::vector<Window> windows = plan_windows(
      std::ssize(tokens), options.context - (has_bos ? 1 : 0), options.stride, has_bos);
  if (windows.empty()) {
    fail(ErrorCode::kBadInput, "the text has {} tokens, too few to score; give a longer one",
         tokens.size());
  }
  PerplexityResult result = Evaluation(model, reference, tokens, options).run(windows);
  result.stride = options.stride;
  return result;
}

}  // namespace

PerplexityResult measure_perplexity(Scorer& model, std::span<const int32_t> tokens,
                                    const PerplexityOptions& options) {
  return evaluate(model, nullptr, tokens, options);
}

PerplexityResult compare_models(Scorer& model, Scorer& reference, std::span<const int32_t> tokens,
                                const PerplexityOptions& options) {
  if (reference.vocab_size() != model.vocab_size()) {
    fail(ErrorCode::kUsage, "'{}' has a vocabulary of {} and '{}' one of {}; they must be equal",
         model.name(), model.vocab_size(), reference.name(), reference.vocab_size());
  }
  PerplexityOptions common = options;
  if (common.context == 0) common.context = std::min(model.context(), reference.context());
  if (common.context > reference.context()) {
    fail(ErrorCode::kUsage, "--ctx is {}, more than the context of '{}', {}", common.context,
         reference.name(), reference.context());
  }
  return evaluate(model, &reference, tokens, common);
}

}  // namespace tercet
