// SPDX-License-Identifier: Apache-2.0
#include "formats/bitnet_variants.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "formats/model_config.h"

namespace tercet {
namespace {

void check_kind(const std::string& origin, bool is_set, const char* field, LinearKind wanted,
                LinearKind found) {
  if (!is_set || found == wanted) return;
  fail(ErrorCode::kBadInput, "{}: {} is for {} linear maps, these are {}; leave it out", origin,
       field, to_string(wanted), to_string(found));
}

void check_numbers(const BitnetVariants& v, const std::string& origin) {
  if (v.activation_bits != 4 && v.activation_bits != 8) {
    fail(ErrorCode::kBadInput, "{}: activation_bits is {}; it must be 4 or 8", origin,
         v.activation_bits);
  }
  if (!(v.o_proj_top_k > 0.0f && v.o_proj_top_k <= 1.0f)) {
    fail(ErrorCode::kBadInput, "{}: o_proj_top_k is {}; it must be above 0 and at most 1", origin,
         v.o_proj_top_k);
  }
  if (v.hadamard && v.o_proj_top_k < 1.0f) {
    fail(ErrorCode::kBadInput,
         "{}: hadamard and o_proj_top_k exclude each other: transformed inputs are of one size, so "
         "that none can be left out",
         origin);
  }
}

void check_groups(const ModelConfig& config, const std::string& origin) {
  const int64_t groups = config.variants.quant_groups;
  if (groups == 1) return;
  if (config.norm != NormPlacement::kInsidePlain) {
    fail(ErrorCode::kBadInput,
         "{}: quant_groups is {}, whose norms stand inside the linear maps; norm must be {}, not "
         "{}",
         origin, groups, to_string(NormPlacement::kInsidePlain), to_string(config.norm));
  }
  const int64_t attention = config.num_attention_heads * config.head_dim;
  for (const int64_t width : {config.hidden_size, attention, config.intermediate_size}) {
    if (groups > 0 && width % groups == 0) continue;
    fail(ErrorCode::kBadInput, "{}: quant_groups is {}; it must divide all inputs, {} among them",
         origin, groups, width);
  }
}

void check_hadamard(const ModelConfig& config, const std::string& origin) {
  if (!config.variants.hadamard) return;
  const int64_t attention = config.num_attention_heads * config.head_dim;
  for (const int64_t width : {attention, config.intermediate_size}) {
    if (hadamard_block(width) > 1) continue;
    fail(ErrorCode::kBadInput, "{}: hadamard needs even inputs of o_proj and down_proj, {} is odd",
         origin, width);
  }
}

}  // namespace

int64_t hadamard_block(int64_t n) { return n & -n; }

int64_t kept_inputs(float share, int64_t n) {
  const double wanted = static_cast<double>(share) * static_cast<double>(n);
  return std::clamp<int64_t>(std::llround(wanted), 1, n);
}

void check_variants(const ModelConfig& config, const std::string& origin) {
  const BitnetVariants& v = config.variants;
  check_numbers(v, origin);
  const auto only = [&](bool is_set, const char* field, LinearKind kind) {
    check_kind(origin, is_set, field, kind, config.linear);
  };
  only(v.activation_bits != 8, "activation_bits", LinearKind::kB158);
  only(v.o_proj_top_k < 1.0f, "o_proj_top_k", LinearKind::kB158);
  only(v.hadamard, "hadamard", LinearKind::kB158);
  only(v.quant_groups != 1, "quant_groups", LinearKind::kB1);
  only(v.shifted_gate_input, "shifted_gate_input", LinearKind::kB1);
  check_groups(config, origin);
  check_hadamard(config, origin);
}

}  // namespace tercet
