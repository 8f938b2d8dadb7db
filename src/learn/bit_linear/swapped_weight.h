// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "learn/bit_linear/bit_linear.h"

namespace tercet {

// A tensor without memory that stands for the rounded form of `latent` [out_features, in_features]:
// x W^T with it is bit_product() of the latent weights. This is how torch::nn::Linear, whose
// forward() is not virtual, computes something else: its member `weight` is one of these, while the
// parameter that is registered, trained and saved stays the latent tensor. libtorch's dispatcher
// sends operations on it here because of its dispatch key. Any other operation throws kUnsupported.
at::Tensor swapped_weight(const at::Tensor& latent, const BitLinearOptions& options);

// What is behind such a tensor; null for any other.
struct SwappedWeight {
  at::Tensor latent;
  BitLinearOptions options;
};
const SwappedWeight* swapped_weight_of(const at::Tensor& tensor);

}  // namespace tercet
