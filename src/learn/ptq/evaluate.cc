// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/evaluate.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "learn/ptq/block.h"
#include "learn/ptq/head.h"

namespace tercet::learn {
namespace {

// Tokens whose logits exist at the same time.
constexpr int64_t kLogitRows = 256;

// Sums over positions.
struct Sums {
  double source_nll = 0;
  double nll = 0;
  double kl = 0;
  double same_best = 0;
  int64_t tokens = 0;

  void add_ranks(Team team) {
    std::array<double, 5> all = {source_nll, nll, kl, same_best, static_cast<double>(tokens)};
    team.sum(all);
    *this = {all[0], all[1], all[2], all[3], static_cast<int64_t>(all[4])};
  }
};

class Evaluation {
 public:
  explicit Evaluation(const EvaluationRequest& request)
      : request_(request),
        config_(request.source->config()),
        source_head_(*request.source),
        quantized_head_(*request.quantized, request.rest.head) {
    size_t longest = 0;
    for (const auto& window : *request.windows) longest = std::max(longest, window.size());
    angles_ = rotary_angles(config_, static_cast<int64_t>(longest));
  }

  EvaluationReport run() {
    const std::vector<size_t> turns = plan_turns();
    const int64_t total = std::ssize(turns) * config_.num_hidden_layers;
    size_t first = 0;
    for (const size_t end : turns) {
      run_turn(first, end, total);
      first = end;
    }
    sums_.add_ranks(request_.team);
    const double count = static_cast<double>(std::max<int64_t>(sums_.tokens, 1));
    return {sums_.tokens, sums_.source_nll / count, sums_.nll / count, sums_.kl / count,
            sums_.same_best / count};
  }

 private:
  // Ends of the ranges of windows whose residual streams fit.
  std::vector<size_t> plan_turns() const {
    const auto& windows = *request_.windows;
    std::vector<size_t> ends;
    uint64_t bytes = 0;
    for (size_t i = 0; i < windows.size(); ++i) {
      bytes += 2 * windows[i].size() * static_cast<uint64_t>(config_.hidden_size) * sizeof(float);
      if (bytes < request_.memory && i + 1 < windows.size()) continue;
      ends.push_back(i + 1);
      bytes = 0;
    }
    return ends;
  }

  void run_turn(size_t first, size_t end, int64_t total) {
    std::vector<at::Tensor> source;
    std::vector<at::Tensor> quantized;
    for (size_t i = first; i < end; ++i) {
      const std::vector<int32_t>& ids = (*request_.windows)[i];
      source.push_back(embedded(*request_.source, ids));
      quantized.push_back(embedded(*request_.quantized, ids, request_.rest.embedding));
    }
    for (int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
      pass(*request_.source, layer, source, {});
      pass(*request_.quantized, layer, quantized, low_bit_maps(layer));
      if (request_.progress) request_.progress(++passed_, total);
    }
    for (size_t i = 0; i < source.size(); ++i) {
      score((*request_.windows)[first + i], source[i], quantized[i]);
    }
  }

  std::vector<std::string> low_bit_maps(int64_t layer) const {
    std::vector<std::string> out;
    for (const std::string& map : linear_maps()) {
      if (request_.int8_inputs(fmt::format("model.layers.{}.{}", layer, map))) out.push_back(map);
    }
    return out;
  }

  void pass(const HfModel& model, int64_t layer, std::vector<at::Tensor>& residual,
            const std::vector<std::string>& low_bit) const {
    const BlockWeights weights = load_block(model, layer);
    const Block block(config_, layer, weights, angles_, low_bit);
    for (at::Tensor& r : residual) {
      if (request_.stop != nullptr && *request_.stop) {
        fail(ErrorCode::kInterrupted,
             "interrupted while evaluating; the model is there, --resume evaluates and packs it");
      }
      r = block.after_attention(r, block.mixed(block.attention_input(r)));
      r = block.after_ffn(r, block.gated(block.ffn_input(r)));
    }
  }

  void score(const std::vector<int32_t>& ids, const at::Tensor& source,
             const at::Tensor& quantized) {
    const std::vector<int64_t> wide(ids.begin() + 1, ids.end());
    const at::Tensor targets = at::tensor(at::ArrayRef<int64_t>(wide), at::kLong);
    for (int64_t first = 0; first < targets.size(0); first += kLogitRows) {
      const int64_t count = std::min(kLogitRows, targets.size(0) - first);
      const at::Tensor p = source_head_.log_probabilities(source.narrow(0, first, count));
      const at::Tensor q = quantized_head_.log_probabilities(quantized.narrow(0, first, count));
      const at::Tensor target = targets.narrow(0, first, count).unsqueeze(1);
      sums_.source_nll -= p.gather(1, target).sum(at::kDouble).item<double>();
      sums_.nll -= q.gather(1, target).sum(at::kDouble).item<double>();
      sums_.kl += (p.exp() * (p - q)).sum(at::kDouble).item<double>();
      sums_.same_best += p.argmax(1).eq(q.argmax(1)).sum().item<double>();
      sums_.tokens += count;
    }
  }

  const EvaluationRequest& request_;
  const ModelConfig& config_;
  ModelHead source_head_;
  ModelHead quantized_head_;
  RotaryAngles angles_;
  Sums sums_;
  int64_t passed_ = 0;
};

}  // namespace

double EvaluationReport::perplexity() const { return std::exp(mean_nll); }
double EvaluationReport::source_perplexity() const { return std::exp(source_nll); }

EvaluationReport evaluate_beside(const EvaluationRequest& request) {
  const at::NoGradGuard no_gradients;
  return Evaluation(request).run();
}

}  // namespace tercet::learn
