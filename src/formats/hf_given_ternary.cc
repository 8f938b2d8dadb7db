// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "formats/hf_config_parts.h"
#include "formats/hf_model.h"
#include "formats/printable.h"

namespace tercet {
namespace {

constexpr size_t kMaxNames = 100'000;

std::vector<std::string> read_names(const JsonFields& fields) {
  std::vector<std::string> names;
  const Json* list = fields.find("dense_maps");
  if (list == nullptr) return names;
  if (!list->is_array() || list->size() > kMaxNames) {
    fail(ErrorCode::kBadInput, "{} is no list of module names", fields.describe("dense_maps"));
  }
  for (const Json& element : *list) {
    if (!element.is_string()) {
      fail(ErrorCode::kBadInput, "{} holds {}, which is no module name",
           fields.describe("dense_maps"), printable(element.dump()));
    }
    names.push_back(element.get<std::string>());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

Json given_ternary_to_json(const GivenTernary& given) {
  Json out = {{"scale_per", given.one_scale        ? "tensor"
                            : given.group_size > 0 ? "group"
                                                   : "row"},
              {"activations", given.int8_activations ? "int8" : "float"},
              {"dense_maps", given.dense_maps}};
  if (given.group_size > 0) out["group_size"] = given.group_size;
  return out;
}

std::optional<GivenTernary> read_given_ternary(const JsonFields& fields) {
  const auto mark = fields.object(kGivenTernaryKey);
  if (!mark) return std::nullopt;
  GivenTernary out;
  const std::string reach = mark->string_or("scale_per", "row");
  out.one_scale = reach == "tensor";
  if (reach == "group") {
    out.group_size = mark->integer("group_size");
    if (out.group_size < 1) {
      fail(ErrorCode::kBadInput, "{} is {}; it must be positive", mark->describe("group_size"),
           out.group_size);
    }
  } else if (reach != "row" && reach != "tensor") {
    fail(ErrorCode::kBadInput, "{} is \"{}\"; tensor, row and group are possible",
         mark->describe("scale_per"), printable(reach));
  }
  const std::string activations = mark->string_or("activations", "float");
  if (activations != "float" && activations != "int8") {
    fail(ErrorCode::kBadInput, "{} is \"{}\"; float and int8 are possible",
         mark->describe("activations"), printable(activations));
  }
  out.int8_activations = activations == "int8";
  out.dense_maps = read_names(*mark);
  return out;
}

void apply_given_ternary(const JsonFields& fields, ModelConfig& config) {
  const std::optional<GivenTernary> given = read_given_ternary(fields);
  if (!given) return;
  if (config.linear != LinearKind::kDense) {
    fail(ErrorCode::kBadInput, "{} stands beside a quantization of another kind",
         fields.describe(kGivenTernaryKey));
  }
  if (!given->int8_activations) return;
  config.linear = LinearKind::kB158;
  config.dense_maps.clear();
  constexpr std::string_view kWeight = ".weight";
  for (const TensorSpec& spec : tensor_specs(config)) {
    if (!spec.low_bit) continue;
    std::string module = spec.hf_name.substr(0, spec.hf_name.size() - kWeight.size());
    const auto& names = given->dense_maps;
    if (std::binary_search(names.begin(), names.end(), module)) {
      config.dense_maps.push_back(std::move(module));
    }
  }
  std::sort(config.dense_maps.begin(), config.dense_maps.end());
}

}  // namespace tercet
