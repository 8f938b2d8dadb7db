// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "formats/model_config.h"
#include "learn/nn/code_matrix.h"
#include "learn/nn/low_bit_form.h"
#include "learn/nn/ops.h"

namespace tercet::learn {

// A weight with the name it has in an HF directory. f32, requires a gradient.
struct Parameter {
  std::string name;
  at::Tensor value;
  bool decays = true;  // weight decay applies: matrices, not norm gains
};

// How a forward pass computes; a type of matrix products alone means fully quantized.
struct ForwardMode {
  ForwardMode(at::ScalarType type, double share = 1.0) : compute(type), quantized(share) {}

  at::ScalarType compute;  // of matrix products: kFloat or kBFloat16
  // How far low-bit maps are on their way from dense (0) to what they are in the end (1); see
  // fading_linear().
  double quantized;
  // Plain int8 inputs instead of BitnetVariants' activation_bits and o_proj_top_k: the first stage
  // of BitNet a4.8's and v2's training.
  bool eight_bits = false;

  bool operator==(const ForwardMode&) const = default;
};

// A LLaMA-style decoder: RMSNorm, rotary embedding, grouped-query attention, gated feed-forward,
// with full-precision, BitNet b1.58 or BitNet b1 linear maps and the norm placements of
// ModelConfig. b1's inputs share one int8 scale per call while gradients are recorded, and have one
// per token otherwise (methods.md 1.1). Move-only.
class Transformer {
 public:
  // Fresh weights: normal, standard deviation 0.02, the maps that write to the residual stream
  // scaled by 1 / sqrt(2 layers), embeddings 1 / sqrt(hidden_size); norm gains 1. The same seed
  // gives the same weights everywhere.
  Transformer(const ModelConfig& config, uint64_t seed, at::Device device);

  const ModelConfig& config() const { return config_; }
  at::Device device() const { return device_; }
  std::vector<Parameter>& parameters() { return parameters_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }

  // Whether the backward pass computes each block again from its input instead of keeping what it
  // needs of it (recompute.h).
  void set_recompute(bool on) { recompute_ = on; }

  // Final hidden states after the last norm: [batch * length, hidden_size] f32.
  // tokens: [batch, length] int64; length at most max_position_embeddings. With `documents`, those
  // of the tokens, without attention across them.
  at::Tensor hidden(const at::Tensor& tokens, const ForwardMode& mode,
                    std::shared_ptr<const Documents> documents = nullptr) const;
  // Logits of every position: [batch * length, vocab_size] f32.
  at::Tensor logits(const at::Tensor& tokens, const ForwardMode& mode) const;
  // The last row of that alone, [vocab_size].
  at::Tensor last_logits(const at::Tensor& tokens, const ForwardMode& mode) const;
  // Mean cross entropy in nats of predicting window[:, 1:] from window[:, :-1].
  // windows: [batch, length + 1] int64. With `documents`, those of window[:, :-1], the mean over
  // the targets that count.
  at::Tensor loss(const at::Tensor& windows, const ForwardMode& mode,
                  std::shared_ptr<const Documents> documents = nullptr) const;

  // The parameter of that name; throws kInternal when there is none.
  const at::Tensor& parameter(const std::string& name) const;

 private:
  const at::Tensor& head() const;  // [vocab_size, hidden_size]

  // The tensors of one layer; undefined where the architecture has none.
  struct Layer {
    at::Tensor q, k, v, o, gate, up, down;
    at::Tensor input_norm, attention_sub_norm, post_attention_norm, ffn_sub_norm;
    at::Tensor q_norm, k_norm, v_norm, o_norm, gate_norm, up_norm, down_norm;
    std::vector<at::Tensor> all;
  };

  void bind_layers();
  // Which maps share an input.
  enum class Maps { kQkv, kO, kGateUp, kDown };

  at::Tensor norm(const at::Tensor& x, const at::Tensor& weight) const;
  // A norm without weights, of each of BitnetVariants' groups.
  at::Tensor inner_norm(const at::Tensor& x) const;
  LowBitForm form_of(Maps maps, const ForwardMode& mode) const;
  at::Tensor linear(at::Tensor x, const std::vector<at::Tensor>& weights, Maps maps,
                    const ForwardMode& mode) const;
  // Several maps of the same input, each behind its own norm when norms are inside.
  at::Tensor project(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                     const std::vector<at::Tensor>& norms, Maps maps,
                     const ForwardMode& mode) const;
  at::Tensor block(const Layer& layer, at::Tensor x, const AttentionShape& shape,
                   const ForwardMode& mode) const;
  at::Tensor recomputed_block(const Layer& layer, const at::Tensor& x, const AttentionShape& shape,
                              const ForwardMode& mode) const;

  ModelConfig config_;
  at::Device device_;
  std::vector<Parameter> parameters_;
  std::map<std::string, size_t> index_;
  std::vector<Layer> layers_;
  RotaryTable rotary_;
  bool recompute_ = false;
  // Follows from the weights; not more than that is hidden behind const.
  mutable CodeCache codes_;
};

}  // namespace tercet::learn
