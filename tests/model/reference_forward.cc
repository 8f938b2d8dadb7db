// SPDX-License-Identifier: Apache-2.0
#include "model/reference_forward.h"

#include <algorithm>
#include <bit>
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

  // The Walsh-Hadamard matrix itself, run by run.
  static Vector hadamard(const Vector& x) {
    size_t block = 1;
    while (x.size() % (2 * block) == 0) block *= 2;
    Vector out(x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      for (size_t j = 0; j < block; ++j) {
        const double value = x[i / block * block + j] / std::sqrt(static_cast<double>(block));
        out[i] += std::popcount(i % block & j) % 2 == 0 ? value : -value;
      }
    }
    return out;
  }

  // What o_proj and down_proj see of their inputs.
  Vector changed(const std::string& name, const Vector& x) const {
    const BitnetVariants& variants = config_.variants;
    const bool is_o = name.ends_with("o_proj.weight");
    if (variants.hadamard && (is_o || name.ends_with("down_proj.weight"))) return hadamard(x);
    if (!is_o || variants.o_proj_top_k == 1.0f) return x;
    Vector sorted(x);
    std::sort(sorted.begin(), sorted.end(),
              [](double a, double b) { return std::abs(a) > std::abs(b); });
    const double share = static_cast<double>(variants.o_proj_top_k);
    const double least = std::abs(
        sorted[static_cast<size_t>(std::round(share * static_cast<double>(x.size()))) - 1]);
    Vector out(x);
    for (double& v : out) v = std::abs(v) < least ? 0.0 : v;
    return out;
  }

  // x by 4 bits (BitNet a4.8) or 8.
  Vector rounded(const std::string& name, const Vector& x) const {
    const bool late = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
    const bool four = config_.variants.activation_bits == 4 && (!late || config_.variants.hadamard);
    double largest = 1e-5;
    double mean = 0;
    for (const double v : x) {
      largest = std::max(largest, std::abs(v));
      mean += std::abs(v) / static_cast<double>(x.size());
    }
    const double s = four ? std::sqrt(7.0) / std::max(mean, 1e-5) : 127.0 / largest;
    Vector out(x);
    for (double& v : out)
      v = std::clamp(std::nearbyint(v * s), four ? -8.0 : -128.0, four ? 7.0 : 127.0) / s;
    return out;
  }

  // BitNet b1.58: y = round(W / gamma) * gamma applied to the rounded input.
  Vector ternary(const std::string& name, const Vector& input) const {
    const Vector x = rounded(name, changed(name, input));
    const std::vector<float>& weight = get(name);
    double gamma = 0;
    for (const float w : weight) gamma += std::abs(static_cast<double>(w));
    gamma = std::max(gamma / static_cast<double>(weight.size()), 1e-5);
    Vector out(weight.size() / x.size());
    for (size_t i = 0; i < weight.size(); ++i) {
      const double code = std::clamp(std::nearbyint(weight[i] / gamma), -1.0, 1.0);
      out[i / x.size()] += code * gamma * x[i % x.size()];
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

  // BitNet b1: y = sign(W - mean W) mean |W| applied to round(x s) / s, for each group of columns.
  Vector binary(const std::string& name, const Vector& x) const {
    const std::vector<float>& weight = get(name);
    const bool gate = name.ends_with("gate_proj.weight") || name.ends_with("up_proj.weight");
    const size_t width = x.size() / static_cast<size_t>(config_.variants.quant_groups);
    Vector out(weight.size() / x.size());
    for (size_t first = 0; first < x.size(); first += width) {
      const auto begin = x.begin() + static_cast<std::ptrdiff_t>(first);
      Vector part(begin, begin + static_cast<std::ptrdiff_t>(width));
      if (config_.norm == NormPlacement::kInsidePlain) part = plain_norm(part);
      const bool shifted = gate && config_.variants.shifted_gate_input;
      add_binary_group(weight, first, x.size(), shifted, part, out);
    }
    return out;
  }

  static void add_binary_group(const std::vector<float>& weight, size_t first, size_t cols,
                               bool shifted, const Vector& x, Vector& out) {
    const double count = static_cast<double>(out.size() * x.size());
    const auto at = [&](size_t row, size_t i) {
      return static_cast<double>(weight[row * cols + first + i]);
    };
    double alpha = 0;
    double beta = 0;
    for (size_t row = 0; row < out.size(); ++row) {
      for (size_t i = 0; i < x.size(); ++i) {
        alpha += at(row, i) / count;
        beta += std::abs(at(row, i)) / count;
      }
    }
    const double shift = shifted ? *std::min_element(x.begin(), x.end()) : 0.0;
    double largest = 1e-5;
    for (const double v : x) largest = std::max(largest, std::abs(v - shift));
    const double s = 127.0 / largest;
    for (size_t row = 0; row < out.size(); ++row) {
      for (size_t i = 0; i < x.size(); ++i) {
        const double q = std::nearbyint((x[i] - shift) * s) / s + shift;
        out[row] += at(row, i) > alpha ? beta * q : -beta * q;
      }
    }
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
    if (config_.linear == LinearKind::kB1) return binary(name + ".weight", input);
    if (config_.norm == NormPlacement::kInsidePlain) input = plain_norm(x);
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
