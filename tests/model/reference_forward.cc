// SPDX-License-Identifier: Apache-2.0
#include "model/reference_forward.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <string>

namespace tercet::test {
namespace {

using Vector = std::vector<double>;
using Sequence = std::vector<Vector>;

class Reference {
 public:
  Reference(const ModelConfig& config, const FloatWeights& weights)
      : config_(config), weights_(weights) {}

  Vector logits(const std::vector<int32_t>& tokens) const {
    Sequence x;
    for (const int32_t token : tokens) x.push_back(embedding(token));
    for (int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
      const std::string prefix = "model.layers." + std::to_string(layer) + ".";
      const Sequence context = attention(prefix, x);
      for (size_t t = 0; t < x.size(); ++t) {
        x[t] = sum(x[t], context[t]);
        x[t] = sum(x[t], feed_forward(prefix, x[t]));
      }
    }
    Vector out;
    const std::string head =
        config_.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight";
    for (const Vector& state : x) {
      const Vector row = dense(head, norm("model.norm", state));
      out.insert(out.end(), row.begin(), row.end());
    }
    return out;
  }

 private:
  const std::vector<float>& get(const std::string& name) const { return weights_.at(name); }

  Vector embedding(int32_t token) const {
    const auto begin = get("model.embed_tokens.weight").begin() + token * config_.hidden_size;
    return {begin, begin + config_.hidden_size};
  }

  static Vector sum(const Vector& a, const Vector& b) {
    Vector out(a);
    for (size_t i = 0; i < a.size(); ++i) out[i] += b[i];
    return out;
  }

  Vector norm(const std::string& name, const Vector& x) const {
    const std::vector<float>& weight = get(name + ".weight");
    double mean_square = 0;
    for (const double v : x) mean_square += v * v / static_cast<double>(x.size());
    Vector out(x);
    for (size_t i = 0; i < x.size(); ++i) {
      out[i] *= static_cast<double>(weight[i]) /
                std::sqrt(mean_square + static_cast<double>(config_.rms_norm_eps));
    }
    return out;
  }

  Vector dense(const std::string& name, const Vector& x) const {
    const std::vector<float>& weight = get(name);
    Vector out(weight.size() / x.size());
    for (size_t i = 0; i < weight.size(); ++i) {
      out[i / x.size()] += static_cast<double>(weight[i]) * x[i % x.size()];
    }
    return out;
  }

  // BitNet b1.58: y = round(W / gamma) * gamma applied to round(x s) / s.
  Vector ternary(const std::string& name, const Vector& x) const {
    const std::vector<float>& weight = get(name);
    double gamma = 0;
    for (const float w : weight) gamma += std::abs(static_cast<double>(w));
    gamma = std::max(gamma / static_cast<double>(weight.size()), 1e-5);
    double largest = 1e-5;
    for (const double v : x) largest = std::max(largest, std::abs(v));
    const double s = 127.0 / largest;
    Vector out(weight.size() / x.size());
    for (size_t i = 0; i < weight.size(); ++i) {
      const double code = std::clamp(std::nearbyint(weight[i] / gamma), -1.0, 1.0);
      const double q = std::clamp(std::nearbyint(x[i % x.size()] * s), -128.0, 127.0);
      out[i / x.size()] += code * gamma * q / s;
    }
    return out;
  }

  static Vector plain_norm(const Vector& x) {
    double mean = 0;
    double variance = 0;
    for (const double v : x) mean += v / static_cast<double>(x.size());
    for (const double v : x) variance += (v - mean) * (v - mean) / static_cast<double>(x.size());
    Vector out(x);
    for (double& v : out) v = (v - mean) / std::sqrt(variance + 1e-5);
    return out;
  }

  // BitNet b1: y = sign(W - mean W) mean |W| applied to round(x s) / s.
  Vector binary(const std::string& name, const Vector& x) const {
    const std::vector<float>& weight = get(name);
    double alpha = 0;
    double beta = 0;
    for (const float w : weight) {
      alpha += static_cast<double>(w) / static_cast<double>(weight.size());
      beta += std::abs(static_cast<double>(w)) / static_cast<double>(weight.size());
    }
    double largest = 1e-5;
    for (const double v : x) largest = std::max(largest, std::abs(v));
    const double s = 127.0 / largest;
    Vector out(weight.size() / x.size());
    for (size_t i = 0; i < weight.size(); ++i) {
      const double q = std::nearbyint(x[i % x.size()] * s) / s;
      out[i / x.size()] += weight[i] > alpha ? beta * q : -beta * q;
    }
    return out;
  }

  // OneBit: LayerNorm(((x . g) sign(W)^T) . h), x . g rounded to int8 per token; the weights of a
  // row are h or -h.
  Vector onebit(const std::string& name, const Vector& x) const {
    const std::vector<float>& g = get(name + ".input_scale");
    Vector scaled(x);
    double largest = 1e-5;
    for (size_t i = 0; i < x.size(); ++i) {
      scaled[i] *= static_cast<double>(g[i]);
      largest = std::max(largest, std::abs(scaled[i]));
    }
    for (double& v : scaled) v = std::nearbyint(v * 127.0 / largest) * largest / 127.0;
    return plain_norm(dense(name + ".weight", scaled));
  }

  Vector linear(const std::string& name, const Vector& x) const {
    const std::vector<std::string>& dense_maps = config_.dense_maps;
    if (std::find(dense_maps.begin(), dense_maps.end(), name) != dense_maps.end()) {
      return dense(name + ".weight", x);
    }
    if (config_.linear == LinearKind::kOneBit) return onebit(name, x);
    Vector input(x);
    if (config_.norm == NormPlacement::kInside) input = norm(name + ".rms_norm", x);
    if (config_.norm == NormPlacement::kInsidePlain) input = plain_norm(x);
    if (config_.linear == LinearKind::kB1) return binary(name + ".weight", input);
    return config_.linear == LinearKind::kB158 ? ternary(name + ".weight", input)
                                               : dense(name + ".weight", input);
  }

  // Each pair (i, i + d/2) is a complex number, turned by position * theta^(-2i/d).
  void rotate(Vector& heads, size_t position) const {
    const size_t dim = static_cast<size_t>(config_.head_dim);
    for (size_t start = 0; start < heads.size(); start += dim) {
      for (size_t i = 0; i < dim / 2; ++i) {
        const double angle = static_cast<double>(position) /
                             std::pow(static_cast<double>(config_.rope_theta),
                                      2.0 * static_cast<double>(i) / static_cast<double>(dim));
        const std::complex<double> turned =
            std::complex<double>(heads[start + i], heads[start + i + dim / 2]) *
            std::polar(1.0, angle);
        heads[start + i] = turned.real();
        heads[start + i + dim / 2] = turned.imag();
      }
    }
  }

  Sequence attention(const std::string& prefix, const Sequence& x) const {
    const std::string name = prefix + "self_attn.";
    Sequence q;
    Sequence k;
    Sequence v;
    for (size_t t = 0; t < x.size(); ++t) {
      const Vector input =
          has_block_norms(config_.norm) ? norm(prefix + "input_layernorm", x[t]) : x[t];
      q.push_back(linear(name + "q_proj", input));
      k.push_back(linear(name + "k_proj", input));
      v.push_back(linear(name + "v_proj", input));
      rotate(q.back(), t);
      rotate(k.back(), t);
    }
    Sequence out;
    for (size_t t = 0; t < x.size(); ++t) {
      Vector context = mix(q[t], k, v, t);
      if (config_.norm == NormPlacement::kSub) context = norm(name + "attn_sub_norm", context);
      out.push_back(linear(name + "o_proj", context));
    }
    return out;
  }

  Vector mix(const Vector& q, const Sequence& k, const Sequence& v, size_t t) const {
    const size_t dim = static_cast<size_t>(config_.head_dim);
    const size_t heads = static_cast<size_t>(config_.num_attention_heads);
    const size_t per_group = heads / static_cast<size_t>(config_.num_key_value_heads);
    Vector out(heads * dim);
    for (size_t h = 0; h < heads; ++h) {
      const size_t g = h / per_group;
      Vector weight(t + 1);
      double total = 0;
      for (size_t j = 0; j <= t; ++j) {
        double score = 0;
        for (size_t d = 0; d < dim; ++d) score += q[h * dim + d] * k[j][g * dim + d];
        weight[j] = std::exp(score / std::sqrt(static_cast<double>(dim)));
        total += weight[j];
      }
      for (size_t j = 0; j <= t; ++j) {
        for (size_t d = 0; d < dim; ++d) {
          out[h * dim + d] += weight[j] / total * v[j][g * dim + d];
        }
      }
    }
    return out;
  }

  Vector feed_forward(const std::string& prefix, const Vector& x) const {
    const std::string name = prefix + "mlp.";
    const Vector input =
        has_block_norms(config_.norm) ? norm(prefix + "post_attention_layernorm", x) : x;
    Vector gate = linear(name + "gate_proj", input);
    const Vector up = linear(name + "up_proj", input);
    for (size_t i = 0; i < gate.size(); ++i) {
      const double g = gate[i];
      const double act = config_.hidden_act == Activation::kSilu ? g / (1.0 + std::exp(-g))
                         : g > 0                                 ? g * g
                                                                 : 0.0;
      gate[i] = act * up[i];
    }
    if (config_.norm == NormPlacement::kSub) gate = norm(name + "ffn_sub_norm", gate);
    return linear(name + "down_proj", gate);
  }

  const ModelConfig& config_;
  const FloatWeights& weights_;
};

}  // namespace

std::vector<double> reference_logits(const ModelConfig& config, const FloatWeights& weights,
                                     const std::vector<int32_t>& tokens) {
  return Reference(config, weights).logits(tokens);
}

}  // namespace tercet::test
