// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/block_shapes.h"

namespace tercet::learn {

std::array<MapShape, 7> block_shapes(const ModelConfig& config) {
  const double hidden = static_cast<double>(config.hidden_size);
  const double heads = static_cast<double>(config.num_attention_heads * config.head_dim);
  const double kv = static_cast<double>(config.num_key_value_heads * config.head_dim);
  const double inner = static_cast<double>(config.intermediate_size);
  return {{{heads, hidden, false, false},
           {kv, hidden, false, false},
           {kv, hidden, true, false},
           {hidden, heads, true, true},
           {inner, hidden, false, false},
           {inner, hidden, true, false},
           {hidden, inner, true, true}}};
}

}  // namespace tercet::learn
