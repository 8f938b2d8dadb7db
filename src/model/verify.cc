// SPDX-License-Identifier: Apache-2.0
#include "model/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/rng.h"
#include "model/forward.h"
#include "model/linear.h"
#include "model/ternary_rows.h"

namespace tercet {
namespace {

constexpr int64_t kPositions = 64;
constexpr uint64_t kSeed = 20240227;

constexpr double kMaxLossless = 1e-6;
constexpr double kMaxMedian = 0.1;
constexpr double kMaxWorst = 0.5;

std::vector<int32_t> probe_tokens(const ModelConfig& config) {
  Rng rng(kSeed);
  std::vector<int32_t> tokens(
      static_cast<size_t>(std::min(kPositions, config.max_position_embeddings)));
  for (int32_t& token : tokens) {
    token = static_cast<int32_t>(rng.below(static_cast<uint64_t>(config.vocab_size)));
  }
  return tokens;
}

std::vector<float> all_logits(const Model& model, const std::vector<int32_t>& tokens,
                              const KernelTable& kernels, ThreadPool& pool) {
  KvCache cache(model.config(), static_cast<int64_t>(tokens.size()));
  std::vector<float> logits(tokens.size() * static_cast<size_t>(model.config().vocab_size));
  Forward(model, kernels, pool).run(tokens, cache, logits, LogitsFor::kAll);
  return logits;
}

double relative_rms(std::span<const float> reference, std::span<const float> other) {
  double difference = 0;
  double magnitude = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double d = static_cast<double>(reference[i]) - static_cast<double>(other[i]);
    difference += d * d;
    magnitude += static_cast<double>(reference[i]) * static_cast<double>(reference[i]);
  }
  if (difference == 0) return 0;
  return std::sqrt(difference / magnitude);
}

size_t top1(std::span<const float> logits) {
  return static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

void compare_logits(const std::vector<float>& reference, const std::vector<float>& other,
                    size_t vocabulary, VerifyReport& report) {
  const size_t positions = reference.size() / vocabulary;
  std::vector<double> errors(positions);
  size_t agreeing = 0;
  for (size_t p = 0; p < positions; ++p) {
    const auto a = std::span(reference).subspan(p * vocabulary, vocabulary);
    const auto b = std::span(other).subspan(p * vocabulary, vocabulary);
    errors[p] = relative_rms(a, b);
    agreeing += top1(a) == top1(b) ? 1 : 0;
  }
  report.positions = static_cast<int64_t>(positions);
  report.top1_agreement = static_cast<double>(agreeing) / static_cast<double>(positions);
  // NaN has no place in an order, and one such position is enough.
  if (!std::all_of(errors.begin(), errors.end(), [](double e) { return std::isfinite(e); })) {
    report.relative_rms_median = report.relative_rms_max = std::nan("");
    return;
  }
  std::sort(errors.begin(), errors.end());
  report.relative_rms_median = errors[positions / 2];
  report.relative_rms_max = errors.back();
}

// Where the rows of a matrix lie that is read in half-split order; empty for in order.
std::vector<int64_t> canonical_order(const Model& model, int64_t heads) {
  if (heads == 0 || model.rope_order() == RopeOrder::kHalfSplit) return {};
  return half_split_permutation(heads, model.config().head_dim, model.config().rotary_dimensions());
}

// A ternary matrix whose rows are read in half-split order, whatever the file's.
class CanonicalRows {
 public:
  CanonicalRows(const Model& model, const LinearWeights& weights, int64_t heads)
      : rows_(weights),
        order_(canonical_order(model, heads)),
        codes_(static_cast<size_t>(weights.cols)),
        scales_(static_cast<size_t>(rows_.scales_per_row())) {}

  void read(int64_t row) {
    const int64_t from = order_.empty() ? row : order_[static_cast<size_t>(row)];
    rows_.codes(from, codes_);
    rows_.scales(from, scales_);
  }
  const std::vector<int8_t>& codes() const { return codes_; }
  int64_t group() const { return rows_.reach().group_size; }
  float scale_at(int64_t column) const { return scales_[static_cast<size_t>(column / group())]; }
  int64_t rows() const { return rows_.rows(); }
  int64_t cols() const { return rows_.cols(); }

 private:
  TernaryRows rows_;
  std::vector<int64_t> order_;
  std::vector<int8_t> codes_;
  std::vector<float> scales_;
};

// Codes and the scales in effect, however far either stores them to reach.
bool same_ternary(CanonicalRows a, CanonicalRows b) {
  if (a.rows() != b.rows() || a.cols() != b.cols()) return false;
  for (int64_t row = 0; row < a.rows(); ++row) {
    a.read(row);
    b.read(row);
    if (a.codes() != b.codes()) return false;
    for (int64_t column = 0; column < a.cols();) {
      if (a.scale_at(column) != b.scale_at(column)) return false;
      column = std::min((column / a.group() + 1) * a.group(), (column / b.group() + 1) * b.group());
    }
  }
  return true;
}

bool holds_all_values(const LinearWeights& source, const LinearWeights& target) {
  if (source.int8_activations || target.int8_activations) return false;
  return target.type == source.type || target.type == StoredType::kF32;
}

void compare_weights(const Model& source, const Model& target, VerifyReport& report) {
  const ModelConfig& config = source.config();
  report.lossless = source.rope_order() == target.rope_order() &&
                    holds_all_values(source.weights().embedding, target.weights().embedding) &&
                    holds_all_values(source.weights().head, target.weights().head);
  const auto compare = [&](const LinearWeights& a, const LinearWeights& b, int64_t heads) {
    const bool both_ternary = is_ternary(a.type) && is_ternary(b.type);
    report.lossless = report.lossless && (both_ternary || holds_all_values(a, b));
    if (!both_ternary) return;
    ++report.ternary_tensors;
    report.ternary_equal =
        report.ternary_equal && same_ternary({source, a, heads}, {target, b, heads});
  };
  for (size_t i = 0; i < source.weights().layers.size(); ++i) {
    const LayerWeights& a = source.weights().layers[i];
    const LayerWeights& b = target.weights().layers[i];
    compare(a.q, b.q, config.num_attention_heads);
    compare(a.k, b.k, config.num_key_value_heads);
    compare(a.v, b.v, 0);
    compare(a.o, b.o, 0);
    compare(a.gate, b.gate, 0);
    compare(a.up, b.up, 0);
    compare(a.down, b.down, 0);
  }
}

void check_same_shape(const Model& source, const Model& target) {
  ModelConfig wanted = source.config();
  // Multiplying out and the tokenizer's ids may differ; everything else says it is another model.
  wanted.linear = target.config().linear;
  wanted.dense_maps = target.config().dense_maps;
  wanted.bos_token_id = target.config().bos_token_id;
  wanted.eos_token_ids = target.config().eos_token_ids;
  if (wanted == target.config()) return;
  fail(ErrorCode::kBadInput, "'{}' and '{}' have different configurations; they are not one model",
       source.path().string(), target.path().string());
}

}  // namespace

std::string find_fault(const VerifyReport& report) {
  if (!report.ternary_equal) return "ternary codes or scales differ";
  const double median = report.relative_rms_median;
  const double worst = report.relative_rms_max;
  if (!std::isfinite(median) || !std::isfinite(worst)) {
    return "logits are not finite numbers, or vanish in one of the two";
  }
  const double median_limit = report.lossless ? kMaxLossless : kMaxMedian;
  const double worst_limit = report.lossless ? kMaxLossless : kMaxWorst;
  if (median <= median_limit && worst <= worst_limit) return {};
  return fmt::format(
      "logits differ by {:.2e} relative RMS in the median and {:.2e} at worst, above the {} and {} "
      "that {} conversion may cost",
      median, worst, median_limit, worst_limit, report.lossless ? "a lossless" : "this");
}

VerifyReport verify(const Model& source, const Model& target, const KernelTable& kernels,
                    ThreadPool& pool) {
  check_same_shape(source, target);
  const std::vector<int32_t> tokens = probe_tokens(source.config());
  VerifyReport report;
  compare_logits(all_logits(source, tokens, kernels, pool),
                 all_logits(target, tokens, kernels, pool),
                 static_cast<size_t>(source.config().vocab_size), report);
  compare_weights(source, target, report);
  return report;
}

VerifyReport verify(const std::filesystem::path& source, const std::filesystem::path& target,
                    const KernelTable& kernels, ThreadPool& pool) {
  return verify(Model::load(source), Model::load(target), kernels, pool);
}

}  // namespace tercet
