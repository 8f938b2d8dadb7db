// SPDX-License-Identifier: Apache-2.0
#include "learn/study/energy.h"

#include <array>

namespace tercet::learn {
namespace {

constexpr double kPicojoule = 1e-12;

Energy of_counts(double additions, const OperationCost& adding, double multiplications,
                 const OperationCost& multiplying) {
  return {additions * adding.add * kPicojoule, multiplications * multiplying.multiply * kPicojoule};
}

Energy times(const Energy& energy, int64_t count) {
  const auto factor = static_cast<double>(count);
  return {factor * energy.add, factor * energy.multiply};
}

}  // namespace

OperationCost operation_cost(ProcessNode node, Arithmetic arithmetic) {
  // By Arithmetic.
  constexpr std::array<OperationCost, 3> k45nm = {{{0.9, 3.7}, {0.4, 1.1}, {0.03, 0.2}}};
  constexpr std::array<OperationCost, 3> k7nm = {{{0.38, 1.31}, {0.16, 0.34}, {0.007, 0.07}}};
  const auto index = static_cast<size_t>(arithmetic);
  return node == ProcessNode::k45nm ? k45nm[index] : k7nm[index];
}

Energy operator+(const Energy& a, const Energy& b) {
  return {a.add + b.add, a.multiply + b.multiply};
}

Energy product_energy(ProcessNode node, Arithmetic arithmetic, int64_t m, int64_t n, int64_t p) {
  const OperationCost cost = operation_cost(node, arithmetic);
  const double outputs = static_cast<double>(m) * static_cast<double>(p);
  return of_counts(outputs * static_cast<double>(n - 1), cost, outputs * static_cast<double>(n),
                   cost);
}

Energy low_bit_product_energy(ProcessNode node, int64_t m, int64_t n, int64_t p) {
  const double outputs = static_cast<double>(m) * static_cast<double>(p);
  const double inputs = static_cast<double>(m) * static_cast<double>(n);
  return of_counts(outputs * static_cast<double>(n - 1), operation_cost(node, Arithmetic::kInt8),
                   outputs + inputs, operation_cost(node, Arithmetic::kFp16));
}

Energy inference_energy(ProcessNode node, const ModelConfig& config, Arithmetic dense,
                        int64_t tokens) {
  Energy energy;
  for (const TensorSpec& spec : tensor_specs(config)) {
    const bool of_a_layer = spec.rows > 0 && spec.hf_name.starts_with("model.layers.");
    if (!of_a_layer) continue;
    energy = energy + (spec.low_bit ? low_bit_product_energy(node, tokens, spec.cols, spec.rows)
                                    : product_energy(node, dense, tokens, spec.cols, spec.rows));
  }
  const Energy scores = product_energy(node, dense, tokens, config.head_dim, tokens);
  const Energy mixing = product_energy(node, dense, tokens, tokens, config.head_dim);
  return energy + times(scores + mixing, config.num_hidden_layers * config.num_attention_heads);
}

Energy head_energy(ProcessNode node, const ModelConfig& config, Arithmetic dense, int64_t tokens) {
  return product_energy(node, dense, tokens, config.hidden_size, config.vocab_size);
}

}  // namespace tercet::learn
