// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/plan.h"

#include <ATen/ATen.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <numeric>

#include "core/error.h"
#include "learn/ptq/activation_store.h"
#include "learn/ptq/training_budget.h"

namespace tercet::learn {
namespace {

// A linear map of a block and the input that it shares with others.
struct Shape {
  double rows, cols;
  bool first_of_input;
  bool writes_residual;
};

std::array<Shape, 7> shapes_of(const ModelConfig& config) {
  const double hidden = static_cast<double>(config.hidden_size);
  const double heads = static_cast<double>(config.num_attention_heads * config.head_dim);
  const double kv = static_cast<double>(config.num_key_value_heads * config.head_dim);
  const double inner = static_cast<double>(config.intermediate_size);
  return {{{heads, hidden, true, false},
           {kv, hidden, false, false},
           {kv, hidden, false, false},
           {hidden, heads, true, true},
           {inner, hidden, true, false},
           {inner, hidden, false, false},
           {hidden, inner, true, true}}};
}

double moment_flops(const ModelConfig& config, double tokens, bool cross) {
  double flops = 0;
  for (const Shape& s : shapes_of(config)) {
    if (!s.first_of_input) continue;
    flops += 2 * tokens * s.cols * s.cols * (cross ? 2 : 1);
    if (cross && s.writes_residual) flops += 2 * tokens * s.cols * s.rows;
  }
  return flops;
}

// Products with the Hessian per map, by what the method does.
double solver_products(const LayerOptions& layer) {
  switch (layer.method) {
    case PtqMethod::kAbsmean:
    case PtqMethod::kTwn:
    case PtqMethod::kSvid:
      return 0;
    case PtqMethod::kPt2Llm:
      return 4;
    case PtqMethod::kArb:
      return 16;
    default:
      break;
  }
  const double rounds = 0.7 * layer.flip_rounds;  // most maps settle before the last
  return layer.grid_points + 2 + (layer.feedback ? 3 : 0) + 3 * rounds;
}

double solver_flops(const ModelConfig& config, const LayerOptions& layer) {
  double flops = 0;
  for (const Shape& s : shapes_of(config)) {
    flops += 2 * s.rows * s.cols * s.cols * solver_products(layer);
    if (layer.cross_term != 0 || layer.feedback) flops += s.cols * s.cols * (s.cols + 2 * s.rows);
  }
  return flops;
}

// Floats of one block at its widest: weights on both sides, moments of the widest input in double,
// what the solver holds beside them.
uint64_t block_floats(const ModelConfig& config, bool cross) {
  double weights = 0;
  double widest = 0;
  double largest = 0;
  for (const Shape& s : shapes_of(config)) {
    weights += s.rows * s.cols;
    widest = std::max(widest, s.cols * s.cols);
    largest = std::max(largest, s.rows * s.cols);
  }
  return static_cast<uint64_t>(2 * weights + widest * (cross ? 14 : 8) + 10 * largest);
}

// Latent weights, their gradients and Adam's two moments, the values that they give, and the
// activations of the windows of a step.
uint64_t training_floats(const ModelConfig& config, int64_t longest) {
  const uint64_t weights =
      static_cast<uint64_t>(config.linear_parameter_count() / config.num_hidden_layers);
  const int64_t window = longest * (8 * config.hidden_size + 8 * config.intermediate_size +
                                    4 * config.num_attention_heads * longest);
  return 8 * weights + static_cast<uint64_t>(window);
}

// GFLOP/s of a product in f32.
double measured_gflops() {
  constexpr int64_t kSize = 768;
  const at::Tensor a = at::ones({kSize, kSize}, at::kFloat);
  at::matmul(a, a);
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    const auto start = std::chrono::steady_clock::now();
    at::matmul(a, a);
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return 2.0 * kSize * kSize * kSize / best * 1e-9;
}

}  // namespace

uint64_t machine_memory() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long page = ::sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? static_cast<uint64_t>(pages) * static_cast<uint64_t>(page) : 0;
}

PtqPlan plan_quantization(const ModelConfig& config, const PtqOptions& options,
                          const std::vector<int64_t>& rows) {
  const bool cross = options.layer.cross_term != 0;
  const bool trains = options.block_training.steps > 0;
  const uint64_t sides = rows.empty() ? 0 : (cross || trains ? 2 : 1);
  const int64_t layers = config.num_hidden_layers;
  PtqPlan plan;
  plan.windows = std::ssize(rows);
  plan.tokens = std::accumulate(rows.begin(), rows.end(), int64_t{0});
  const int64_t width =
      config.hidden_size + config.num_attention_heads * config.head_dim + config.intermediate_size;
  plan.activation_bytes = sides * ActivationStore::bytes(rows, width);
  const int64_t longest = rows.empty() ? 0 : *std::max_element(rows.begin(), rows.end());
  // Scores, their exponentials and a mask of one window, and its inner activations.
  const uint64_t window = static_cast<uint64_t>(
      longest * (3 * config.num_attention_heads * longest + 4 * config.intermediate_size));
  plan.block_bytes = sizeof(float) * (block_floats(config, cross) + window);
  if (trains) plan.block_bytes += sizeof(float) * training_floats(config, longest);
  const bool whole = options.end_to_end.steps > 0 || options.uses_predictions();
  const uint64_t whole_bytes = whole ? whole_model_bytes(config, longest) : 0;
  plan.spills = plan.activation_bytes + plan.block_bytes > options.max_memory;
  plan.peak_memory =
      std::max(plan.block_bytes + (plan.spills ? 0 : plan.activation_bytes), whole_bytes);
  if (whole_bytes > options.max_memory) {
    fail(ErrorCode::kUsage,
         "--tune-steps and --block-loss predictions need the whole model in memory, {} MiB a rank, "
         "--max-memory leaves {} MiB; leave them out, or give more",
         whole_bytes >> 20, options.max_memory >> 20);
  }
  if (plan.block_bytes > options.max_memory) {
    fail(ErrorCode::kUsage,
         "one block of this model needs {} MiB of memory, --max-memory leaves {} MiB; give more, "
         "or a "
         "shorter --ctx",
         plan.block_bytes >> 20, options.max_memory >> 20);
  }
  plan.output_bytes = 2 * static_cast<uint64_t>(config.parameter_count());
  plan.disk_bytes = plan.output_bytes + (plan.spills ? plan.activation_bytes : 0);
  plan.flops = static_cast<double>(layers) *
               (static_cast<double>(sides) * block_flops(config, rows) +
                (rows.empty() ? 0 : moment_flops(config, static_cast<double>(plan.tokens), cross)) +
                solver_flops(config, options.layer));
  if (whole) plan.flops += static_cast<double>(layers) * block_flops(config, rows);
  plan.flops += training_flops(config, options.block_training, rows);
  plan.flops += tuning_flops(config, options.end_to_end, rows);
  plan.training = options.block_training;
  plan.tuning = options.end_to_end;
  plan.gflops = measured_gflops();
  plan.seconds = plan.flops / (plan.gflops * 1e9);
  return plan;
}

PtqPlan plan_for_rank(const ModelConfig& config, PtqOptions options,
                      const std::vector<int64_t>& rows, const WindowShare& share) {
  const BlockTrainingOptions training = options.block_training;
  const EndToEndOptions tuning = options.end_to_end;
  for (int64_t* tokens :
       {&options.block_training.tokens_per_step, &options.end_to_end.tokens_per_step}) {
    *tokens = (*tokens + share.ranks - 1) / share.ranks;
  }
  PtqPlan plan = plan_quantization(config, options, share.of(rows));
  plan.windows = std::ssize(rows);
  plan.tokens = std::accumulate(rows.begin(), rows.end(), int64_t{0});
  plan.ranks = share.ranks;
  plan.training = training;
  plan.tuning = tuning;
  return plan;
}

}  // namespace tercet::learn
