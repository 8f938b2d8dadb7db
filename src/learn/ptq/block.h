// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <map>
#include <string>
#include <vector>

#include "formats/hf_model.h"
#include "formats/model_config.h"

namespace tercet::learn {

// The tensors of one decoder layer as f32, by their HF names without "model.layers.N.". Norms are
// what they multiply with, also where the file holds w - 1.
struct BlockWeights {
  std::map<std::string, at::Tensor> tensors;
  // By map name, [rows]: what the outputs of a map are multiplied with. Its matrix may then be in
  // the type of products. Only for Block; what writes weights knows nothing of it.
  std::map<std::string, at::Tensor> row_scales;
  const at::Tensor& at(const std::string& name) const;
  bool has(const std::string& name) const { return tensors.count(name) != 0; }
};

bool is_norm(const std::string& name);
// Trained gains as the file gives them back, which may hold what is above 1.
at::Tensor stored_norm(const ModelConfig& config, const at::Tensor& gains);

// "self_attn.q_proj" ... "mlp.down_proj", in the order in which a forward pass meets them.
const std::vector<std::string>& linear_maps();

// Throws kBadInput naming file and tensor where a value is not finite.
BlockWeights load_block(const HfModel& model, int64_t layer);

// Cosines and sines of a model's rotary embedding, [positions, rotary_dimensions / 2] f32.
struct RotaryAngles {
  at::Tensor cosine, sine;
  at::Tensor local_cosine, local_sine;  // of sliding layers
};
RotaryAngles rotary_angles(const ModelConfig& config, int64_t positions);

// One decoder layer of any dense architecture that tercet reads, cut where a linear map begins.
// Works on one window: r and every x [tokens, width] f32. Gradients flow.
class Block {
 public:
  // Linear maps listed in `low_bit` see their inputs rounded to int8 per token, as the runtime
  // rounds them for ternary weights. `compute`: the type of matrix products; kFloat is plain tensor
  // algebra, kBFloat16 takes the trainer's fused operators where the architecture allows, several
  // times as fast.
  Block(const ModelConfig& config, int64_t layer, const BlockWeights& weights,
        const RotaryAngles& angles, std::vector<std::string> low_bit,
        at::ScalarType compute = at::kFloat);

  // Input of q, k and v, from the residual stream.
  at::Tensor attention_input(const at::Tensor& r) const;
  // Input of o, from that of q, k and v.
  at::Tensor mixed(const at::Tensor& x) const;
  at::Tensor after_attention(const at::Tensor& r, const at::Tensor& mixed) const;
  // Input of gate and up.
  at::Tensor ffn_input(const at::Tensor& r) const;
  // Input of down, from that of gate and up.
  at::Tensor gated(const at::Tensor& x) const;
  at::Tensor after_ffn(const at::Tensor& r, const at::Tensor& gated) const;
  // The inputs of q, o, gate and down, and the residual stream between attention and feed-forward.
  struct Inputs {
    std::array<at::Tensor, 4> inputs;
    at::Tensor between;
  };
  Inputs inputs(const at::Tensor& r) const;
  // From the residual stream before the block to that behind it.
  at::Tensor whole(const at::Tensor& r) const;

  // What the low-bit ones among maps of one input, if there are any, really get of x.
  at::Tensor seen_by(const std::vector<std::string>& maps, const at::Tensor& x) const;

 private:
  at::Tensor linear(const std::string& map, const at::Tensor& x) const;
  bool is_low_bit(const std::string& map) const;
  bool can_share(const std::vector<std::string>& maps) const;
  at::Tensor product(const std::vector<std::string>& maps, const at::Tensor& x) const;
  bool has_plain_attention() const;
  at::Tensor fused_attention(const at::Tensor& x) const;
  at::Tensor composed_attention(const at::Tensor& x) const;
  at::Tensor norm(const std::string& name, const at::Tensor& x) const;
  at::Tensor rotated(const at::Tensor& heads) const;
  at::Tensor heads_of(const std::string& map, const at::Tensor& x, int64_t count) const;
  at::Tensor allowed(int64_t tokens) const;

  const ModelConfig& config_;
  const BlockWeights& weights_;
  std::vector<std::string> low_bit_;
  at::ScalarType compute_;
  bool sliding_;
  at::Tensor cosine_, sine_;
};

// x rounded to int8 by the absmax of each token and back; gradients pass as if it were x.
at::Tensor rounded_to_int8(const at::Tensor& x);

// w x / rms(x) over the last dimension.
at::Tensor rms_normed(const at::Tensor& x, const at::Tensor& weight, double eps);

}  // namespace tercet::learn
