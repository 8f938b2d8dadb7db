// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <vector>

#include "core/error.h"
#include "formats/hf_config_parts.h"
#include "formats/printable.h"

namespace tercet {
namespace {

constexpr int64_t kDefaultWindow = 4096;  // in all families
constexpr int64_t kDefaultFirstQwenLayer = 28;
constexpr int64_t kDefaultGemmaPattern = 6;

// Null means no window, unlike an absent field.
int64_t read_window(const JsonFields& fields, WindowRule rule) {
  std::vector<int64_t> implied;
  if (rule != WindowRule::kListed) implied.push_back(kDefaultWindow);
  const std::vector<int64_t> window = fields.integers_or("sliding_window", implied);
  if (window.empty()) return 0;
  if (window.size() == 1 && window.front() > 0) return window.front();
  fail(ErrorCode::kBadInput, "{} must be one positive number or null",
       fields.describe("sliding_window"));
}

std::vector<bool> read_layer_types(const JsonFields& fields, const Json& types) {
  if (!types.is_array()) {
    fail(ErrorCode::kBadInput, "{} is no list of names", fields.describe("layer_types"));
  }
  std::vector<bool> out;
  for (const Json& type : types) {
    const std::string name = type.is_string() ? type.get<std::string>() : type.dump();
    if (name != "sliding_attention" && name != "full_attention") {
      fail(ErrorCode::kUnsupported,
           "{} has \"{}\"; full_attention and sliding_attention are supported",
           fields.describe("layer_types"), printable(name));
    }
    out.push_back(name == "sliding_attention");
  }
  return out;
}

std::vector<bool> implied_layers(const JsonFields& fields, WindowRule rule, int64_t layers) {
  std::vector<bool> out;
  if (rule == WindowRule::kListed) return out;
  if (rule == WindowRule::kSwitched) {
    const int64_t first = fields.integer_or("max_window_layers", kDefaultFirstQwenLayer);
    for (int64_t i = 0; i < layers; ++i) out.push_back(i >= first);
    return out;
  }
  const int64_t every = fields.integer_or("sliding_window_pattern", kDefaultGemmaPattern);
  if (every < 1) {
    fail(ErrorCode::kBadInput, "{} is {}; it must be positive",
         fields.describe("sliding_window_pattern"), every);
  }
  for (int64_t i = 0; i < layers; ++i) out.push_back((i + 1) % every != 0);
  return out;
}

}  // namespace

void read_windows(const JsonFields& fields, WindowRule rule, ModelConfig& config) {
  if (rule == WindowRule::kNone) return;
  if (rule == WindowRule::kSwitched && !fields.boolean_or("use_sliding_window", false)) return;
  config.sliding_window = read_window(fields, rule);
  if (config.sliding_window == 0 || rule == WindowRule::kAll) return;
  // ModelConfig::validate() comes later; no list is made for a senseless number of layers.
  if (config.num_hidden_layers < 1 || config.num_hidden_layers > kMaxLayers) return;
  const Json* types = fields.find("layer_types");
  config.sliding_layers = types != nullptr ? read_layer_types(fields, *types)
                                           : implied_layers(fields, rule, config.num_hidden_layers);
  // One way of saying it: no list when all layers slide, no window when none does.
  const auto slides = [](bool sliding) { return sliding; };
  if (config.sliding_layers.empty()) return;
  if (std::none_of(config.sliding_layers.begin(), config.sliding_layers.end(), slides)) {
    config.sliding_window = 0;
  }
  if (config.sliding_window == 0 ||
      std::all_of(config.sliding_layers.begin(), config.sliding_layers.end(), slides)) {
    config.sliding_layers.clear();
  }
}

}  // namespace tercet
