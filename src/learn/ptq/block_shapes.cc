// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/block_shapes.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string>

#include "learn/ptq/block.h"

namespace tercet::learn {
namespace {

// Of layers in which any of the maps is chosen.
double share_of_layers(const ModelConfig& config, const PtqOptions& options,
                       std::span<const std::string> maps) {
  double chosen = 0;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    const bool is_here = std::any_of(maps.begin(), maps.end(), [&](const std::string& map) {
      return is_chosen(options, fmt::format("model.layers.{}.{}", layer, map));
    });
    if (is_here) ++chosen;
  }
  return chosen / static_cast<double>(config.num_hidden_layers);
}

}  // namespace

std::array<MapShape, 7> block_shapes(const ModelConfig& config, const PtqOptions& options) {
  const double hidden = static_cast<double>(config.hidden_size);
  const double heads = static_cast<double>(config.num_attention_heads * config.head_dim);
  const double kv = static_cast<double>(config.num_key_value_heads * config.head_dim);
  const double inner = static_cast<double>(config.intermediate_size);
  std::array<MapShape, 7> shapes = {{{heads, hidden, false, false},
                                     {kv, hidden, false, false},
                                     {kv, hidden, true, false},
                                     {hidden, heads, true, true},
                                     {inner, hidden, false, false},
                                     {inner, hidden, true, false},
                                     {hidden, inner, true, true}}};
  if (options.only.empty()) return shapes;
  const std::span<const std::string> maps(linear_maps());
  for (size_t first = 0, i = 0; i < shapes.size(); ++i) {
    shapes[i].chosen = share_of_layers(config, options, maps.subspan(i, 1));
    if (!shapes[i].last_of_input) continue;
    const double gathers = share_of_layers(config, options, maps.subspan(first, i + 1 - first));
    for (; first <= i; ++first) shapes[first].gathers = gathers;
  }
  return shapes;
}

}  // namespace tercet::learn
