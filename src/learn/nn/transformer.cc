// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/transformer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/rng.h"
#include "learn/nn/input_transforms.h"
#include "learn/nn/recompute.h"
#include "learn/nn/trainable.h"

namespace tercet::learn {
namespace {

bool ends_with(const std::string& text, const std::string& suffix) {
  return text.size() >= suffix.size() &&
         text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

// Normal numbers by Box and Muller from our own generator, so that a seed means the same weights on
// every machine, device and libtorch version.
at::Tensor normal_tensor(Rng& rng, int64_t rows, int64_t cols, double deviation) {
  const at::Tensor out = at::empty({rows, cols}, at::kFloat);
  float* values = out.data_ptr<float>();
  for (int64_t i = 0; i < rows * cols; ++i) {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - rng.uniform()));
    const double angle = 2.0 * std::numbers::pi * rng.uniform();
    values[i] = static_cast<float>(deviation * radius * std::cos(angle));
  }
  return out;
}

// Of a fresh matrix. With norms in front of the maps that write to the residual stream their
// outputs are as large whatever comes in, and at 0.02 the embeddings of narrow models drowned in
// them: that cost b1.58 and b1 a tenth of their perplexity at a width of 128.
double fresh_deviation(const ModelConfig& config, const std::string& name) {
  if (name == "model.embed_tokens.weight") {
    return 1 / std::sqrt(static_cast<double>(config.hidden_size));
  }
  const bool writes_residual =
      ends_with(name, "o_proj.weight") || ends_with(name, "down_proj.weight");
  if (!writes_residual) return 0.02;
  return 0.02 / std::sqrt(2.0 * static_cast<double>(config.num_hidden_layers));
}

}  // namespace

Transformer::Transformer(const ModelConfig& config, uint64_t seed, at::Device device)
    : config_(config), device_(device) {
  config.validate("model");
  check_trainable(config);
  Rng rng(seed);
  for (const TensorSpec& spec : tensor_specs(config)) {
    const bool vector = spec.rows == 0;
    const at::Tensor value =
        vector ? at::ones({spec.cols}, at::kFloat)
               : normal_tensor(rng, spec.rows, spec.cols, fresh_deviation(config, spec.hf_name));
    index_[spec.hf_name] = parameters_.size();
    parameters_.push_back({spec.hf_name, value.to(device).set_requires_grad(true), !vector});
  }
  bind_layers();
  rotary_ =
      rotary_table(config.max_position_embeddings, config.head_dim, config.rope_theta, device);
}

const at::Tensor& Transformer::parameter(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) fail(ErrorCode::kInternal, "the model has no tensor '{}'", name);
  return parameters_[found->second].value;
}

void Transformer::bind_layers() {
  const auto optional = [this](const std::string& name) {
    return index_.count(name) != 0 ? parameter(name) : at::Tensor();
  };
  for (int64_t i = 0; i < config_.num_hidden_layers; ++i) {
    const std::string base = "model.layers." + std::to_string(i) + ".";
    const std::string attn = base + "self_attn.";
    const std::string mlp = base + "mlp.";
    Layer layer;
    layer.q = parameter(attn + "q_proj.weight");
    layer.k = parameter(attn + "k_proj.weight");
    layer.v = parameter(attn + "v_proj.weight");
    layer.o = parameter(attn + "o_proj.weight");
    layer.gate = parameter(mlp + "gate_proj.weight");
    layer.up = parameter(mlp + "up_proj.weight");
    layer.down = parameter(mlp + "down_proj.weight");
    layer.input_norm = optional(base + "input_layernorm.weight");
    layer.attention_sub_norm = optional(attn + "attn_sub_norm.weight");
    layer.post_attention_norm = optional(base + "post_attention_layernorm.weight");
    layer.ffn_sub_norm = optional(mlp + "ffn_sub_norm.weight");
    layer.q_norm = optional(attn + "q_proj.rms_norm.weight");
    layer.k_norm = optional(attn + "k_proj.rms_norm.weight");
    layer.v_norm = optional(attn + "v_proj.rms_norm.weight");
    layer.o_norm = optional(attn + "o_proj.rms_norm.weight");
    layer.gate_norm = optional(mlp + "gate_proj.rms_norm.weight");
    layer.up_norm = optional(mlp + "up_proj.rms_norm.weight");
    layer.down_norm = optional(mlp + "down_proj.rms_norm.weight");
    for (const Parameter& p : parameters_) {
      if (p.name.starts_with(base)) layer.all.push_back(p.value);
    }
    layers_.push_back(std::move(layer));
  }
}

at::Tensor Transformer::norm(const at::Tensor& x, const at::Tensor& weight) const {
  if (!weight.defined()) return x;
  return rms_norm(x, weight, static_cast<double>(config_.rms_norm_eps));
}

at::Tensor Transformer::inner_norm(const at::Tensor& x) const {
  const int64_t groups = config_.variants.quant_groups;
  if (groups == 1) return plain_norm(x);
  return plain_norm(x.reshape({x.size(0) * groups, -1})).view_as(x);
}

LowBitForm Transformer::form_of(Maps maps, const ForwardMode& mode) const {
  const BitnetVariants& variants = config_.variants;
  const bool stays_int8 = (maps == Maps::kO || maps == Maps::kDown) && !variants.hadamard;
  LowBitForm form;
  form.kind = config_.linear;
  form.groups = variants.quant_groups;
  form.shifted = variants.shifted_gate_input && maps == Maps::kGateUp;
  if (config_.linear == LinearKind::kB1 && at::GradMode::is_enabled()) {
    form.range = InputRange::kAllTokens;
  } else if (variants.activation_bits == 4 && !stays_int8 && !mode.eight_bits) {
    form.range = InputRange::kFourBits;
  }
  return form;
}

at::Tensor Transformer::linear(at::Tensor x, const std::vector<at::Tensor>& weights, Maps maps,
                               const ForwardMode& mode) const {
  if (!has_low_bit_maps(config_.linear)) return dense_linear(x, weights, mode.compute);
  const BitnetVariants& variants = config_.variants;
  if (variants.hadamard && (maps == Maps::kO || maps == Maps::kDown)) x = hadamard(x);
  if (variants.o_proj_top_k < 1 && maps == Maps::kO && !mode.eight_bits) {
    x = keep_largest(x, kept_inputs(variants.o_proj_top_k, x.size(1)));
  }
  return fading_linear(x, weights, mode.compute, form_of(maps, mode), mode.quantized, &codes_);
}

at::Tensor Transformer::project(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                                const std::vector<at::Tensor>& norms, Maps maps,
                                const ForwardMode& mode) const {
  if (config_.norm == NormPlacement::kInsidePlain) {
    return linear(inner_norm(x), weights, maps, mode);
  }
  if (config_.norm != NormPlacement::kInside) return linear(x, weights, maps, mode);
  std::vector<at::Tensor> parts;
  for (size_t i = 0; i < weights.size(); ++i) {
    parts.push_back(linear(norm(x, norms[i]), {weights[i]}, maps, mode));
  }
  return parts.size() == 1 ? parts[0] : at::cat(parts, 1);
}

at::Tensor Transformer::block(const Layer& layer, at::Tensor x, const AttentionShape& shape,
                              const ForwardMode& mode) const {
  const at::Tensor qkv = project(norm(x, layer.input_norm), {layer.q, layer.k, layer.v},
                                 {layer.q_norm, layer.k_norm, layer.v_norm}, Maps::kQkv, mode);
  const at::Tensor mixed =
      norm(attention(qkv, rotary_, shape, mode.compute), layer.attention_sub_norm);
  x = x + project(mixed, {layer.o}, {layer.o_norm}, Maps::kO, mode);
  const at::Tensor gate_up = project(norm(x, layer.post_attention_norm), {layer.gate, layer.up},
                                     {layer.gate_norm, layer.up_norm}, Maps::kGateUp, mode);
  if (config_.norm == NormPlacement::kInsidePlain && config_.variants.quant_groups == 1) {
    return x +
           linear(glu_norm(gate_up, config_.hidden_act, {}, 0), {layer.down}, Maps::kDown, mode);
  }
  const at::Tensor gated =
      layer.ffn_sub_norm.defined()
          ? glu_norm(gate_up, config_.hidden_act, layer.ffn_sub_norm, config_.rms_norm_eps)
          : glu(gate_up, config_.hidden_act);
  return x + project(gated, {layer.down}, {layer.down_norm}, Maps::kDown, mode);
}

at::Tensor Transformer::recomputed_block(const Layer& layer, const at::Tensor& x,
                                         const AttentionShape& shape,
                                         const ForwardMode& mode) const {
  return recomputed([this, &layer, shape,
                     mode](const at::Tensor& input) { return block(layer, input, shape, mode); },
                    x, layer.all);
}

at::Tensor Transformer::hidden(const at::Tensor& tokens, const ForwardMode& mode,
                               std::shared_ptr<const Documents> documents) const {
  const AttentionShape shape{tokens.size(0),
                             tokens.size(1),
                             config_.num_attention_heads,
                             config_.num_key_value_heads,
                             config_.head_dim,
                             std::move(documents)};
  if (shape.length > config_.max_position_embeddings) {
    fail(ErrorCode::kUsage, "{} tokens exceed the model's context of {}", shape.length,
         config_.max_position_embeddings);
  }
  at::Tensor x = at::embedding(parameter("model.embed_tokens.weight"), tokens.reshape({-1}));
  const bool recompute = recompute_ && at::GradMode::is_enabled();
  for (const Layer& layer : layers_) {
    x = recompute ? recomputed_block(layer, x, shape, mode) : block(layer, x, shape, mode);
  }
  return norm(x, parameter("model.norm.weight"));
}

const at::Tensor& Transformer::head() const {
  return parameter(config_.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight");
}

at::Tensor Transformer::logits(const at::Tensor& tokens, const ForwardMode& mode) const {
  return dense_linear(hidden(tokens, mode), {head()}, mode.compute);
}

at::Tensor Transformer::last_logits(const at::Tensor& tokens, const ForwardMode& mode) const {
  const at::Tensor all = hidden(tokens, mode);
  return dense_linear(all.narrow(0, all.size(0) - 1, 1), {head()}, mode.compute)[0];
}

at::Tensor Transformer::loss(const at::Tensor& windows, const ForwardMode& mode,
                             std::shared_ptr<const Documents> documents) const {
  const int64_t length = windows.size(1) - 1;
  at::Tensor targets = windows.narrow(1, 1, length);
  if (documents != nullptr) targets = targets.masked_fill(documents->ends, -1);
  const at::Tensor last = hidden(windows.narrow(1, 0, length), mode, std::move(documents));
  return head_loss(last, head(), targets.reshape({-1}), mode.compute);
}

}  // namespace tercet::learn
