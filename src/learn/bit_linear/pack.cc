// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>

#include <cstring>

#include "core/error.h"
#include "learn/bit_linear/bit_linear.h"
#include "learn/bit_linear/swapped_weight.h"
#include "packing/absmean.h"
#include "packing/ternary.h"

namespace tercet {
namespace {

// The weights as packing takes them: f32 on the CPU, row by row.
at::Tensor plain_weight(const at::Tensor& weight) {
  if (weight.dim() != 2 || weight.numel() == 0 || !at::isFloatingType(weight.scalar_type())) {
    fail(ErrorCode::kUsage,
         "only weights [out_features, in_features] of a real floating type can be packed");
  }
  return weight.detach().to(at::kCPU).to(at::kFloat).contiguous();
}

packing::TernaryMatrix ternary_matrix(const at::Tensor& weight, BitKind kind) {
  const at::Tensor plain = plain_weight(weight);
  const std::span<const float> values(plain.data_ptr<float>(), static_cast<size_t>(plain.numel()));
  // Also for b1: it refuses what is not finite.
  packing::TernaryMatrix matrix =
      packing::quantize_absmean(values, plain.size(0), plain.size(1), "weight");
  if (kind == BitKind::kB1) {
    packing::centred_sign_codes(values, packing::mean_of(values), matrix.codes);
  }
  return matrix;
}

BitWeight bit_weight(const packing::TernaryMatrix& matrix) {
  BitWeight out{at::empty({matrix.rows, matrix.cols}, at::kChar), matrix.scales.front()};
  std::memcpy(out.codes.data_ptr(), matrix.codes.data(), matrix.codes.size());
  return out;
}

// The latent weight and the kind of a bit layer; nothing for any other module.
struct LatentWeight {
  at::Tensor weight;
  BitKind kind = BitKind::kB158;
};
LatentWeight latent_weight(const torch::nn::Module& module) {
  if (const auto* layer = module.as<BitLinearImpl>()) return {layer->weight, layer->bits.kind()};
  const auto* linear = module.as<torch::nn::LinearImpl>();
  const SwappedWeight* swapped = linear == nullptr ? nullptr : swapped_weight_of(linear->weight);
  if (swapped == nullptr) return {};
  return {swapped->latent, swapped->options.kind()};
}

// One module's own tensors.
void add_state(const std::string& prefix, const torch::nn::Module& module,
               torch::OrderedDict<std::string, torch::Tensor>& state) {
  const LatentWeight latent = latent_weight(module);
  for (const auto& item : module.named_parameters(/*recurse=*/false)) {
    const bool packed = latent.weight.defined() && item.value().is_same(latent.weight);
    state.insert(prefix + item.key(), packed ? pack_weight(item.value(), latent.kind)
                                             : item.value().detach().to(at::kCPU));
  }
  for (const auto& item : module.named_buffers(/*recurse=*/false)) {
    state.insert(prefix + item.key(), item.value().detach().to(at::kCPU));
  }
}

}  // namespace

BitWeight quantized_weight(const torch::Tensor& weight, BitKind kind) {
  return bit_weight(ternary_matrix(weight, kind));
}

torch::Tensor pack_weight(const torch::Tensor& weight, BitKind kind) {
  const packing::Layout layout =
      kind == BitKind::kB1 ? packing::Layout::kSign8 : packing::Layout::kTrit5;
  const std::vector<uint8_t> bytes = packing::encode_own(layout, ternary_matrix(weight, kind));
  const at::Tensor out = at::empty({static_cast<int64_t>(bytes.size())}, at::kByte);
  std::memcpy(out.data_ptr(), bytes.data(), bytes.size());
  return out;
}

BitWeight unpack_weight(const torch::Tensor& packed) {
  if (packed.dim() != 1 || packed.scalar_type() != at::kByte) {
    fail(ErrorCode::kUsage, "packed weights are a vector of uint8, as pack_weight() makes them");
  }
  const at::Tensor bytes = packed.to(at::kCPU).contiguous();
  const packing::OwnView view = packing::view_own(
      {bytes.data_ptr<uint8_t>(), static_cast<size_t>(bytes.numel())}, "packed weights");
  if (view.scope != packing::ScaleScope::kTensor) {
    fail(ErrorCode::kUnsupported, "packed weights have several scales, a BitLinear has one");
  }
  return bit_weight(packing::decode_own(view));
}

torch::OrderedDict<std::string, torch::Tensor> packed_state(const torch::nn::Module& module) {
  torch::OrderedDict<std::string, torch::Tensor> state;
  add_state("", module, state);
  for (const auto& item : module.named_modules("", /*include_self=*/false)) {
    add_state(item.key() + ".", *item.value(), state);
  }
  return state;
}

}  // namespace tercet
