// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "formats/hf_config_parts.h"
#include "formats/hf_model.h"
#include "formats/printable.h"

namespace tercet {
namespace {

constexpr const char* kKeptModules = "modules_to_not_convert";
constexpr size_t kMaxKeptModules = 10'000;  // each is held against each linear map

bool is_module_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return letter || (c >= '0' && c <= '9') || c == '_' || c == '.';
  });
}

// As transformers reads a list of modules: one that stands before the map in the tree, the map
// itself, or the end of its name.
bool is_kept(std::string_view module, const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    if (module.ends_with(name)) return true;
    if (!module.starts_with(name)) return false;
    return name.ends_with('.') || module[name.size()] == '.';
  });
}

// The value of a field that may only be one of two; what its absence implies is transformers'
// default.
bool is_first(const JsonFields& fields, const char* field, const char* implied, const char* first,
              const char* second) {
  const std::string value = fields.string_or(field, implied);
  if (value == first) return true;
  if (value == second) return false;
  fail(ErrorCode::kUnsupported, "{} is \"{}\"; {} and {} are supported", fields.describe(field),
       printable(value), first, second);
}

HfTernaryStorage read_storage(const JsonFields& quantization) {
  const std::string method = quantization.string_or("quant_method", "");
  if (method != "bitnet") {
    fail(ErrorCode::kUnsupported,
         "{} is \"{}\"; only \"bitnet\" is supported, other quantizers are not read",
         quantization.describe("quant_method"), printable(method));
  }
  HfTernaryStorage out;
  const bool plain =
      is_first(quantization, "linear_class", "bitlinear", "bitlinear", "autobitlinear");
  const bool offline = is_first(quantization, "quantization_mode", "offline", "offline", "online");
  // A plain BitLinear has packed weights whatever the mode says.
  out.packed = plain || offline;
  out.reciprocal_scale = plain;
  return out;
}

// Names of modules. Expressions, which transformers takes too, are refused.
std::vector<std::string> read_kept_modules(const JsonFields& quantization) {
  std::vector<std::string> names;
  const Json* list = quantization.find(kKeptModules);
  if (list == nullptr) return names;
  if (!list->is_array()) {
    fail(ErrorCode::kBadInput, "{} is not a list", quantization.describe(kKeptModules));
  }
  if (list->size() > kMaxKeptModules) {
    fail(ErrorCode::kUnsupported, "{} has {} names; at most {} work",
         quantization.describe(kKeptModules), list->size(), kMaxKeptModules);
  }
  for (const Json& element : *list) {
    std::string name = element.is_string() ? element.get<std::string>() : std::string();
    if (!is_module_name(name)) {
      fail(ErrorCode::kUnsupported, "{}: '{}' is not the name of a module",
           quantization.describe(kKeptModules), printable(name));
    }
    names.push_back(std::move(name));
  }
  if (!names.empty() && !is_kept("lm_head", names)) {
    fail(ErrorCode::kUnsupported,
         "{} names modules but not lm_head; a ternary head is not supported",
         quantization.describe(kKeptModules));
  }
  return names;
}

std::vector<std::string> kept_maps(const ModelConfig& config,
                                   const std::vector<std::string>& names) {
  constexpr std::string_view kWeight = ".weight";
  std::vector<std::string> maps;
  if (names.empty()) return maps;
  for (const TensorSpec& spec : tensor_specs(config)) {
    if (!spec.low_bit) continue;
    std::string module = spec.hf_name.substr(0, spec.hf_name.size() - kWeight.size());
    if (is_kept(module, names)) maps.push_back(std::move(module));
  }
  std::sort(maps.begin(), maps.end());
  return maps;
}

void read_input_norms(const JsonFields& fields, const JsonFields& quantization,
                      ModelConfig& config) {
  if (config.norm != NormPlacement::kPre) {
    fail(ErrorCode::kUnsupported,
         "{} is true; this model type has norms of its own, and both together are not supported",
         quantization.describe("use_rms_norm"));
  }
  if (quantization.real_or("rms_norm_eps", 1e-6f) != config.rms_norm_eps) {
    fail(ErrorCode::kUnsupported, "{} differs from rms_norm_eps {}; one value is supported",
         quantization.describe("rms_norm_eps"), config.rms_norm_eps);
  }
  // Tercet says so when the block's norms beside them are there for transformers' sake only.
  const std::string norm = fields.string_or("norm", to_string(NormPlacement::kPreInside));
  config.norm = norm == to_string(NormPlacement::kInside) ? NormPlacement::kInside
                                                          : NormPlacement::kPreInside;
}

}  // namespace

HfTernaryStorage ternary_storage_from_json(const Json& json, const std::string& origin) {
  const JsonFields fields(json, origin);
  const auto quantization = fields.object("quantization_config");
  HfTernaryStorage out = quantization ? read_storage(*quantization) : HfTernaryStorage{};
  out.given = read_given_ternary(fields);
  return out;
}

void read_quantization(const JsonFields& fields, bool is_bitnet, ModelConfig& config) {
  const auto quantization = fields.object("quantization_config");
  if (is_bitnet || quantization) config.linear = LinearKind::kB158;
  if (!quantization) return;
  read_storage(*quantization);
  if (quantization->boolean_or("use_rms_norm", false)) {
    read_input_norms(fields, *quantization, config);
  }
}

void read_dense_maps(const JsonFields& fields, ModelConfig& config) {
  const auto quantization = fields.object("quantization_config");
  if (!quantization || config.linear != LinearKind::kB158) return;
  config.dense_maps = kept_maps(config, read_kept_modules(*quantization));
  if (config.dense_maps.empty() || !has_input_norms(config.norm)) return;
  // The norm is part of a converted map, so these would have none.
  fail(ErrorCode::kUnsupported,
       "{} names '{}', and use_rms_norm is true; both together are not supported",
       quantization->describe(kKeptModules), config.dense_maps.front());
}

}  // namespace tercet
