// SPDX-License-Identifier: Apache-2.0
#include "learn/bit_linear/bit_linear.h"
#include "learn/bit_linear/swapped_weight.h"

namespace tercet {
namespace {

// Calls body(name, layer) for every torch::nn::Linear of the tree, once each, the root included.
template <typename Body>
void for_linear_layers(torch::nn::Module& module, const Body& body) {
  if (auto* root = module.as<torch::nn::LinearImpl>()) body(std::string(), *root);
  for (const auto& item : module.named_modules("", /*include_self=*/false)) {
    if (auto* layer = item.value()->as<torch::nn::LinearImpl>()) body(item.key(), *layer);
  }
}

}  // namespace

std::vector<std::string> swap_linear_layers(
    torch::nn::Module& module, const BitLinearOptions& options,
    const std::function<bool(const std::string& name)>& accept) {
  std::vector<std::string> swapped;
  for_linear_layers(module, [&](const std::string& name, torch::nn::LinearImpl& layer) {
    if (swapped_weight_of(layer.weight) != nullptr || (accept && !accept(name))) return;
    layer.weight = swapped_weight(layer.weight, options);
    swapped.push_back(name);
  });
  return swapped;
}

int64_t restore_linear_layers(torch::nn::Module& module) {
  int64_t restored = 0;
  for_linear_layers(module, [&](const std::string&, torch::nn::LinearImpl& layer) {
    const SwappedWeight* weight = swapped_weight_of(layer.weight);
    if (weight == nullptr) return;
    layer.weight = at::Tensor(weight->latent);
    ++restored;
  });
  return restored;
}

bool is_bit_linear(const torch::nn::Module& module) {
  if (module.as<BitLinearImpl>() != nullptr) return true;
  const auto* linear = module.as<torch::nn::LinearImpl>();
  return linear != nullptr && swapped_weight_of(linear->weight) != nullptr;
}

}  // namespace tercet
