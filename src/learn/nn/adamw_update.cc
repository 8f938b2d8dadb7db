// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/adamw_update.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

namespace tercet::learn {

void adamw_update(const at::Tensor& value, const at::Tensor& exp_avg, const at::Tensor& exp_avg_sq,
                  const AdamwFactors& factors) {
  constexpr int64_t kGrain = 32768;
  const at::Tensor gradient = value.grad().contiguous();
  at::parallel_for(0, value.numel(), kGrain, [&](int64_t begin, int64_t end) {
    loops().adamw(factors, gradient.data_ptr<float>() + begin, end - begin,
                  value.data_ptr<float>() + begin, exp_avg.data_ptr<float>() + begin,
                  exp_avg_sq.data_ptr<float>() + begin);
  });
  // What was written behind libtorch's back still counts as a change.
  value.unsafeGetTensorImpl()->bump_version();
}

}  // namespace tercet::learn
