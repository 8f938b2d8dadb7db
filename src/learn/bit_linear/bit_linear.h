// SPDX-License-Identifier: Apache-2.0
// BitNet's linear layers for programs on libtorch. Installed as <tercet/bit_linear.h>; needs C++17
// and libtorch's headers, nothing else of Tercet.
//
//   torch::nn::Linear  ->  tercet::BitLinear           in modules of your own: change the type
//   tercet::swap_linear_layers(*model)                 any module tree: Linears stay where they are
#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#define TERCET_API __attribute__((visibility("default")))

namespace tercet {

// What the weights w become in products. Both keep one scale, mean |w|, for the whole matrix.
enum class BitKind {
  kB158,  // -1, 0 or 1: clamp(round(w / mean |w|), -1, 1)       (BitNet b1.58)
  kB1     // -1 or 1: sign(w - mean w), where sign(0) is -1      (BitNet b1)
};

// Over which inputs one scale for their rounding to integers reaches.
enum class ActivationRange {
  kPerToken,                   // each vector of in_features numbers, to 8 bits by its absmax
  kPerTensor,                  // all of one call, to 8 bits by its absmax
  kPerTensorWhenGradRecorded,  // the latter while gradients are recorded, otherwise the former (b1)
  kPerTokenFourBits            // each vector, to [-8, 7] by mean |x| / sqrt(7) (BitNet a4.8)
};

// A norm without weights that inputs pass before they are rounded, so that state dicts stay those
// of torch::nn::Linear. eps is 1e-5.
enum class InputNorm {
  kNone,
  kRms,   // x / sqrt(mean x^2 + eps)
  kLayer  // (x - mean x) / sqrt(var x + eps)
};

// The defaults are the layer of BitNet b1.58 2B4T, whose norms are modules of their own: give
// layers that no norm precedes (usually those that write to the residual stream) InputNorm::kRms.
struct TERCET_API BitLinearOptions {
  // BitNet b1 as published: centred signs, LayerNorm inside, one range per call while it trains.
  static BitLinearOptions b1();

  TORCH_ARG(BitKind, kind) = BitKind::kB158;
  TORCH_ARG(ActivationRange, activation_range) = ActivationRange::kPerToken;
  TORCH_ARG(InputNorm, input_norm) = InputNorm::kNone;
  // Type of the backward products, kFloat or kBFloat16; on devices other than the CPU of the
  // forward product, too, which the CPU takes exactly in integers. Sums, scales and results are f32
  // and then rounded to the input's type.
  TORCH_ARG(torch::Dtype, compute) = torch::kFloat;
};

// torch::nn::Linear with weights of one or 1.58 bits and inputs of 8 (or 4) bits. It keeps and
// trains the full-precision `weight` [out_features, in_features] and `bias` [out_features]; the
// first is rounded anew in each forward pass, gradients go straight through all roundings. Names,
// shapes and initial values are Linear's, so torch::save() files of either load into the other.
//
// Inputs, weights and outputs are of any real floating type. Autocast does not reach the forward
// product. There are no second derivatives: backward() with create_graph throws.
// All errors are std::runtime_error with one line of text.
class TERCET_API BitLinearImpl : public torch::nn::Cloneable<BitLinearImpl> {
 public:
  BitLinearImpl(int64_t in_features, int64_t out_features)
      : BitLinearImpl(torch::nn::LinearOptions(in_features, out_features)) {}
  explicit BitLinearImpl(const torch::nn::LinearOptions& linear_options,
                         const BitLinearOptions& bit_options = {});

  void reset() override;
  void reset_parameters();
  void pretty_print(std::ostream& stream) const override;

  // input: [..., in_features]; result: [..., out_features], of the input's type.
  torch::Tensor forward(const torch::Tensor& input);

  torch::nn::LinearOptions options;
  BitLinearOptions bits;
  torch::Tensor weight;
  torch::Tensor bias;  // undefined without options.bias()
};
TORCH_MODULE(BitLinear);

// Turns every torch::nn::Linear of a module tree, at whatever depth and however it is held (member,
// Sequential, ModuleList, libtorch's own TransformerEncoder), into what BitLinear computes, and
// returns their names. `accept` gets a layer's full name ("blocks.0.up") and says whether to take
// it; layers that were swapped before are left alone, so that several calls can set different
// options.
//
//   tercet::swap_linear_layers(*model, {}, [](const std::string& name) { return name != "head"; });
//
// Nothing is replaced: Linear::forward() keeps running, but its member `weight` now stands for the
// rounded weights. So parameters, their names, gradients, optimizers that exist already, saving,
// loading and to() work as before, on the same tensors. Limits:
// - the member `weight` can only be multiplied, as Linear::forward() and torch::linear() do; for
//   anything else (initial values, printing, tying) take the tensor from named_parameters(): other
//   uses throw;
// - clone() gives an unswapped copy, so swap that, too (BitLinear clones as what it is);
// - libtorch's dispatch key PrivateUse3 must be free.
TERCET_API std::vector<std::string> swap_linear_layers(
    torch::nn::Module& module, const BitLinearOptions& options = {},
    const std::function<bool(const std::string& name)>& accept = {});

// Undoes it; returns how many layers are plain again.
TERCET_API int64_t restore_linear_layers(torch::nn::Module& module);

// Whether the module is a BitLinear or a swapped Linear.
TERCET_API bool is_bit_linear(const torch::nn::Module& module);

// The weights that multiply: codes [out_features, in_features] int8, each -1, 0 or 1, times scale.
struct TERCET_API BitWeight {
  torch::Tensor codes;
  float scale = 0;
};
// Rounds full-precision weights [out_features, in_features] as the layers do. Throws when one is
// NaN or infinite.
TERCET_API BitWeight quantized_weight(const torch::Tensor& weight, BitKind kind = BitKind::kB158);

// The same in Tercet's own layouts, as bytes that state their shape: [n] uint8 on the CPU, 1.6 bits
// a weight ("trit5") or 1 ("sign8") and 128 bytes with the scale; docs/formats/low_bit.md.
// torch::save() keeps them like any tensor.
TERCET_API torch::Tensor pack_weight(const torch::Tensor& weight, BitKind kind = BitKind::kB158);
// The inverse; throws for bytes that pack_weight() cannot have made.
TERCET_API BitWeight unpack_weight(const torch::Tensor& packed);

// named_parameters() and named_buffers() of a trained model on the CPU, the weights of its bit
// layers packed.
TERCET_API torch::OrderedDict<std::string, torch::Tensor> packed_state(
    const torch::nn::Module& module);

}  // namespace tercet
