// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/block.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "formats/rope_frequencies.h"
#include "learn/nn/ops.h"
#include "learn/ptq/stored_matrix.h"

namespace tercet::learn {
namespace {

at::Tensor activated(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      return at::silu(x);
    case Activation::kRelu2:
      return at::relu(x).square();
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
  }
  return x;
}

std::pair<at::Tensor, at::Tensor> angle_table(const RopeFrequencies& frequencies,
                                              int64_t positions) {
  const auto options = at::TensorOptions().dtype(at::kDouble);
  const at::Tensor radians = at::tensor(at::ArrayRef<double>(frequencies.radians), options);
  const at::Tensor angle = at::outer(at::arange(positions, options), radians);
  return {(angle.cos() * frequencies.amplitude).to(at::kFloat),
          (angle.sin() * frequencies.amplitude).to(at::kFloat)};
}

}  // namespace

const at::Tensor& BlockWeights::at(const std::string& name) const {
  const auto found = tensors.find(name);
  if (found == tensors.end()) fail(ErrorCode::kInternal, "the block has no tensor '{}'", name);
  return found->second;
}

const std::vector<std::string>& linear_maps() {
  static const std::vector<std::string> names = {
      "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
      "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};
  return names;
}

BlockWeights load_block(const HfModel& model, int64_t layer) {
  const std::string prefix = fmt::format("model.layers.{}.", layer);
  BlockWeights out;
  for (const TensorSpec& spec : tensor_specs(model.config())) {
    if (!spec.hf_name.starts_with(prefix)) continue;
    at::Tensor tensor = read_tensor(model, spec.hf_name);
    if (!tensor.isfinite().all().item<bool>()) {
      fail(ErrorCode::kBadInput, "{}: tensor '{}' holds a value that is not a finite number",
           model.directory().string(), spec.hf_name);
    }
    if (spec.hf_offset != 0.0f) tensor += static_cast<double>(spec.hf_offset);
    out.tensors[spec.hf_name.substr(prefix.size())] = tensor;
  }
  return out;
}

RotaryAngles rotary_angles(const ModelConfig& config, int64_t positions) {
  std::vector<float> factors;
  if (config.rope_scaling.type == RopeType::kLlama3) factors = llama3_frequency_factors(config);
  RotaryAngles out;
  std::tie(out.cosine, out.sine) = angle_table(scaled_frequencies(config, factors), positions);
  out.local_cosine = out.cosine;
  out.local_sine = out.sine;
  if (config.rope_local_theta > 0.0f) {
    std::tie(out.local_cosine, out.local_sine) = angle_table(
        plain_frequencies(config.rotary_dimensions(), static_cast<double>(config.rope_local_theta)),
        positions);
  }
  return out;
}

bool is_norm(const std::string& name) { return name.find("norm") != std::string::npos; }

at::Tensor stored_norm(const ModelConfig& config, const at::Tensor& gains) {
  const double offset = config.zero_centered_norms ? 1 : 0;
  return (gains - offset) + offset;
}

at::Tensor rounded_to_int8(const at::Tensor& x) {
  const at::Tensor scale = 127.0 / x.abs().amax(-1, true).clamp_min(1e-5);
  const at::Tensor rounded = (x * scale).round().clamp(-128, 127) / scale;
  return x.requires_grad() ? x + (rounded - x).detach() : rounded;
}

at::Tensor rms_normed(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return x * at::rsqrt(x.square().mean(-1, true) + eps) * weight;
}

Block::Block(const ModelConfig& config, int64_t layer, const BlockWeights& weights,
             const RotaryAngles& angles, std::vector<std::string> low_bit, at::ScalarType compute)
    : config_(config),
      weights_(weights),
      low_bit_(std::move(low_bit)),
      compute_(compute),
      sliding_(config.is_sliding(layer)),
      cosine_(sliding_ ? angles.local_cosine : angles.cosine),
      sine_(sliding_ ? angles.local_sine : angles.sine) {}

at::Tensor Block::norm(const std::string& name, const at::Tensor& x) const {
  const std::string full = name + ".weight";
  if (!weights_.has(full)) return x;
  const double eps = static_cast<double>(config_.rms_norm_eps);
  if (compute_ != at::kFloat && x.dim() == 2) return rms_norm(x, weights_.at(full), eps);
  return rms_normed(x, weights_.at(full), eps);
}

bool Block::is_low_bit(const std::string& map) const {
  return std::find(low_bit_.begin(), low_bit_.end(), map) != low_bit_.end();
}

at::Tensor Block::seen_by(const std::vector<std::string>& maps, const at::Tensor& x) const {
  const bool rounds = std::any_of(maps.begin(), maps.end(),
                                  [&](const std::string& map) { return is_low_bit(map); });
  return rounds ? rounded_to_int8(x) : x;
}

at::Tensor Block::linear(const std::string& map, const at::Tensor& x) const {
  const at::Tensor y = product({map}, x);
  return weights_.has(map + ".bias") ? y + weights_.at(map + ".bias") : y;
}

// Whether product() computes all of these maps at once.
bool Block::can_share(const std::vector<std::string>& maps) const {
  return std::all_of(maps.begin(), maps.end(), [&](const std::string& map) {
    return is_low_bit(map) == is_low_bit(maps.front()) && !weights_.has(map + ".bias") &&
           weights_.row_scales.count(map) == weights_.row_scales.count(maps.front());
  });
}

// Of maps that share an input, side by side.
at::Tensor Block::product(const std::vector<std::string>& maps, const at::Tensor& x) const {
  const auto side_by_side = [](const std::vector<at::Tensor>& parts) {
    return parts.size() == 1 ? parts.front() : at::cat(parts);
  };
  std::vector<at::Tensor> weights;
  std::vector<at::Tensor> scales;
  for (const std::string& map : maps) {
    weights.push_back(weights_.at(map + ".weight"));
    const auto scale = weights_.row_scales.find(map);
    if (scale != weights_.row_scales.end()) scales.push_back(scale->second);
  }
  const at::Tensor seen = seen_by(maps, x);
  const at::Tensor y = compute_ != at::kFloat ? dense_linear(seen, weights, compute_)
                                              : at::matmul(seen, side_by_side(weights).t());
  return scales.empty() ? y : y * side_by_side(scales);
}

at::Tensor Block::rotated(const at::Tensor& heads) const {
  const int64_t tokens = heads.size(1);
  const int64_t pairs = cosine_.size(1);
  const at::Tensor cosine = cosine_.narrow(0, 0, tokens);
  const at::Tensor sine = sine_.narrow(0, 0, tokens);
  const at::Tensor first = heads.narrow(2, 0, pairs);
  const at::Tensor second = heads.narrow(2, pairs, pairs);
  return at::cat({first * cosine - second * sine, second * cosine + first * sine,
                  heads.narrow(2, 2 * pairs, heads.size(2) - 2 * pairs)},
                 2);
}

// [count, tokens, head_dim]
at::Tensor Block::heads_of(const std::string& map, const at::Tensor& x, int64_t count) const {
  return linear("self_attn." + map + "_proj", x)
      .reshape({x.size(0), count, config_.head_dim})
      .transpose(0, 1);
}

// Added to scores: 0 where a position may look, -inf elsewhere. [tokens, tokens]
at::Tensor Block::allowed(int64_t tokens) const {
  const at::Tensor blocked =
      at::full({tokens, tokens}, -std::numeric_limits<float>::infinity(), at::kFloat);
  at::Tensor mask = blocked.triu(1);
  if (sliding_ && config_.sliding_window < tokens) {
    mask = mask + blocked.tril(-config_.sliding_window);
  }
  return mask;
}

at::Tensor Block::attention_input(const at::Tensor& r) const { return norm("input_layernorm", r); }

at::Tensor Block::mixed(const at::Tensor& x) const {
  const bool fused = compute_ != at::kFloat && has_plain_attention();
  return norm("self_attn.attn_sub_norm", fused ? fused_attention(x) : composed_attention(x));
}

// Whether attention() computes it.
bool Block::has_plain_attention() const {
  return can_share({"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}) &&
         !weights_.has("self_attn.q_norm.weight") && !sliding_ && config_.attention_scale == 0.0f &&
         2 * cosine_.size(1) == config_.head_dim;
}

at::Tensor Block::fused_attention(const at::Tensor& x) const {
  const AttentionShape shape{1, x.size(0), config_.num_attention_heads, config_.num_key_value_heads,
                             config_.head_dim};
  const at::Tensor projections =
      product({"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}, x);
  return attention(projections, {cosine_, sine_}, shape, compute_);
}

at::Tensor Block::composed_attention(const at::Tensor& x) const {
  const int64_t tokens = x.size(0);
  const int64_t kv_heads = config_.num_key_value_heads;
  const int64_t shared = config_.num_attention_heads / kv_heads;
  const at::Tensor q =
      rotated(norm("self_attn.q_norm", heads_of("q", x, config_.num_attention_heads)));
  const at::Tensor k = rotated(norm("self_attn.k_norm", heads_of("k", x, kv_heads)));
  const at::Tensor v = heads_of("v", x, kv_heads);
  const double scale = config_.attention_scale != 0.0f
                           ? static_cast<double>(config_.attention_scale)
                           : 1.0 / std::sqrt(static_cast<double>(config_.head_dim));
  const at::Tensor grouped = q.reshape({kv_heads, shared * tokens, config_.head_dim}) * scale;
  const at::Tensor scores =
      at::bmm(grouped, k.transpose(1, 2)).reshape({kv_heads, shared, tokens, tokens}) +
      allowed(tokens);
  const at::Tensor weights = at::softmax(scores, -1).reshape({kv_heads, shared * tokens, tokens});
  const at::Tensor heads =
      at::bmm(weights, v).reshape({config_.num_attention_heads, tokens, config_.head_dim});
  return heads.transpose(0, 1).reshape({tokens, -1});
}

at::Tensor Block::after_attention(const at::Tensor& r, const at::Tensor& mixed) const {
  const at::Tensor y = linear("self_attn.o_proj", mixed);
  if (config_.norm != NormPlacement::kSandwich) return r + y;
  return r + norm("post_attention_layernorm", y);
}

at::Tensor Block::ffn_input(const at::Tensor& r) const {
  const bool sandwich = config_.norm == NormPlacement::kSandwich;
  return norm(sandwich ? "pre_feedforward_layernorm" : "post_attention_layernorm", r);
}

at::Tensor Block::gated(const at::Tensor& x) const {
  const std::vector<std::string> maps = {"mlp.gate_proj", "mlp.up_proj"};
  const bool fused =
      compute_ != at::kFloat && config_.hidden_act != Activation::kGeluTanh && can_share(maps);
  return norm("mlp.ffn_sub_norm",
              fused ? glu(product(maps, x), config_.hidden_act)
                    : activated(linear(maps[0], x), config_.hidden_act) * linear(maps[1], x));
}

at::Tensor Block::after_ffn(const at::Tensor& r, const at::Tensor& gated) const {
  const at::Tensor y = linear("mlp.down_proj", gated);
  if (config_.norm != NormPlacement::kSandwich) return r + y;
  return r + norm("post_feedforward_layernorm", y);
}

Block::Inputs Block::inputs(const at::Tensor& r) const {
  const at::Tensor x = attention_input(r);
  const at::Tensor heads = mixed(x);
  const at::Tensor between = after_attention(r, heads);
  const at::Tensor y = ffn_input(between);
  return {{x, heads, y, gated(y)}, between};
}

at::Tensor Block::whole(const at::Tensor& r) const {
  const Inputs seen = inputs(r);
  return after_ffn(seen.between, seen.inputs[3]);
}

}  // namespace tercet::learn
