// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/evaluate.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>

#include "core/error.h"
#include "core/rng.h"

namespace tercet::learn {
namespace {

// One id from the last row of logits.
int32_t sample_row(const at::Tensor& logits, Rng& rng) {
  constexpr double kTemperature = 0.8;
  constexpr int64_t kTopK = 40;
  const auto top = logits.topk(std::min(kTopK, logits.size(0)));
  const at::Tensor p = at::softmax(std::get<0>(top).to(at::kDouble) / kTemperature, 0);
  const double* weights = p.data_ptr<double>();
  double left = rng.uniform();
  int64_t pick = 0;
  while (pick + 1 < p.size(0) && left >= weights[pick]) left -= weights[pick++];
  return static_cast<int32_t>(std::get<1>(top)[pick].item<int64_t>());
}

}  // namespace

void check_validation_split(const TokenDataset& split, int64_t sequence_length,
                            int64_t max_tokens) {
  if (max_tokens < sequence_length) {
    fail(ErrorCode::kUsage, "eval_tokens is {}, fewer than one sequence of {}", max_tokens,
         sequence_length);
  }
  if (static_cast<int64_t>(split.size()) <= sequence_length) {
    fail(ErrorCode::kBadInput,
         "'{}': the validation split has {} tokens, too few for one sequence of {}; use a larger "
         "--validation-fraction in `tercet data build`, or a shorter sequence_length",
         split.directory().string(), split.size(), sequence_length);
  }
}

ValidationLoss validation_loss(const Transformer& model, const TokenDataset& split,
                               const EvalOptions& options, const ForwardMode& mode,
                               const std::atomic<bool>* stop, Team team) {
  const at::NoGradGuard no_gradients;
  const int64_t length = options.sequence_length;
  check_validation_split(split, length, options.max_tokens);
  const int64_t available = static_cast<int64_t>(split.size()) - 1;
  const int64_t windows = std::min(available, options.max_tokens) / length;
  std::array<double, 2> sums = {};  // of losses, and their number
  for (int64_t first = team.rank() * options.micro_batch_size; first < windows;
       first += team.ranks() * options.micro_batch_size) {
    if (stop != nullptr && *stop) fail(ErrorCode::kInterrupted, "interrupted");
    const int64_t count = std::min(options.micro_batch_size, windows - first);
    const at::Tensor batch = at::empty({count, length + 1}, at::kLong);
    for (int64_t i = 0; i < count; ++i) {
      split.copy(static_cast<uint64_t>((first + i) * length), static_cast<uint64_t>(length + 1),
                 batch.data_ptr<int64_t>() + i * (length + 1));
    }
    std::shared_ptr<const Documents> documents;
    int64_t targets = count * length;
    if (options.document_end) {
      documents = find_documents(batch.narrow(1, 0, length), *options.document_end, model.device());
      targets = documents->targets;
    }
    const double mean = model.loss(batch.to(model.device()), mode, documents).item<double>();
    sums[0] += mean * static_cast<double>(targets);
    sums[1] += static_cast<double>(targets);
  }
  team.sum(sums);
  return {sums[0] / std::max(1.0, sums[1]), static_cast<uint64_t>(sums[1])};
}

std::vector<int32_t> sample_tokens(const Transformer& model, std::vector<int32_t> prompt,
                                   int64_t count, int32_t eos, uint64_t seed,
                                   at::ScalarType compute) {
  const at::NoGradGuard no_gradients;
  Rng rng(seed);
  std::vector<int32_t> out;
  const size_t context = static_cast<size_t>(model.config().max_position_embeddings);
  while (static_cast<int64_t>(out.size()) < count && prompt.size() < context) {
    const std::vector<int64_t> ids(prompt.begin(), prompt.end());
    const at::Tensor tokens = at::tensor(ids, at::kLong).unsqueeze(0).to(model.device());
    const int32_t id = sample_row(model.last_logits(tokens, compute).to(at::kCPU), rng);
    if (id == eos) break;
    prompt.push_back(id);
    out.push_back(id);
  }
  return out;
}

double measured_gemm_gflops(at::ScalarType compute, at::Device device) {
  using Clock = std::chrono::steady_clock;
  const at::NoGradGuard no_gradients;
  // A GPU is only busy with more.
  const int64_t side = device.is_cpu() ? 1024 : 8192;
  const auto options = at::TensorOptions().dtype(compute).device(device);
  const at::Tensor a = at::ones({side, side}, options);
  const at::Tensor b = at::ones({side, side}, options);
  double best = 0.0;
  const Clock::time_point start = Clock::now();
  Clock::time_point best_at = start;
  while (Clock::now() - start < std::chrono::milliseconds(600) &&
         Clock::now() - best_at < std::chrono::milliseconds(150)) {
    const Clock::time_point begin = Clock::now();
    // Reading one element waits for devices that run behind.
    at::matmul(a, b)[0][0].item<double>();
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    const double rate = 2.0 * std::pow(static_cast<double>(side), 3) / seconds / 1e9;
    if (rate > best) best_at = Clock::now();
    best = std::max(best, rate);
  }
  return best;
}

double flops_per_token(const ModelConfig& config, int64_t sequence_length) {
  const double head = static_cast<double>(config.vocab_size * config.hidden_size);
  const double linears = static_cast<double>(config.linear_parameter_count());
  const double attention = static_cast<double>(
      config.num_hidden_layers * config.num_attention_heads * config.head_dim * sequence_length);
  // Two products (scores, mixing) of 2 flops each over half the square, three times (forward, and
  // two gradients): 2 * 2 * 0.5 * 3 = 6.
  return 6.0 * (linears + head) + 6.0 * attention;
}

}  // namespace tercet::learn
