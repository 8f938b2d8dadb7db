// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "core/error.h"
#include "formats/hf_config_parts.h"
#include "formats/hf_model.h"
#include "formats/printable.h"

namespace tercet {
namespace {

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

// Only quantizers that convert every linear map of the layers, and no other, are read.
HfTernaryStorage read_storage(const JsonFields& quantization) {
  const std::string method = quantization.string_or("quant_method", "");
  if (method != "bitnet") {
    fail(ErrorCode::kUnsupported,
         "{} is \"{}\"; only \"bitnet\" is supported, other quantizers are not read",
         quantization.describe("quant_method"), printable(method));
  }
  const Json* kept = quantization.find("modules_to_not_convert");
  if (kept != nullptr && *kept != Json::array() && *kept != Json::array({"lm_head"})) {
    fail(ErrorCode::kUnsupported,
         "{} names modules other than lm_head; mixing dense and ternary "
         "layers is not supported",
         quantization.describe("modules_to_not_convert"));
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

}  // namespace

HfTernaryStorage ternary_storage_from_json(const Json& json, const std::string& origin) {
  const JsonFields fields(json, origin);
  const auto quantization = fields.object("quantization_config");
  return quantization ? read_storage(*quantization) : HfTernaryStorage{};
}

void read_quantization(const JsonFields& fields, bool is_bitnet, ModelConfig& config) {
  const auto quantization = fields.object("quantization_config");
  if (is_bitnet || quantization) config.linear = LinearKind::kB158;
  if (!quantization) return;
  read_storage(*quantization);
  if (!quantization->boolean_or("use_rms_norm", false)) return;
  if (config.norm != NormPlacement::kPre) {
    fail(ErrorCode::kUnsupported,
         "{} is true; this model type has norms of its own, and both together are not supported",
         quantization->describe("use_rms_norm"));
  }
  if (quantization->real_or("rms_norm_eps", 1e-6f) != config.rms_norm_eps) {
    fail(ErrorCode::kUnsupported, "{} differs from rms_norm_eps {}; one value is supported",
         quantization->describe("rms_norm_eps"), config.rms_norm_eps);
  }
  // Tercet says so when the block's norms beside them are there for transformers' sake only.
  const std::string norm = fields.string_or("norm", to_string(NormPlacement::kPreInside));
  config.norm = norm == to_string(NormPlacement::kInside) ? NormPlacement::kInside
                                                          : NormPlacement::kPreInside;
}

}  // namespace tercet
