// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/input_codes.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "learn/nn/cpu_dispatch.h"
#include "learn/nn/runtime_kernels.h"

namespace tercet::learn {

InputCodes quantize_input(const at::Tensor& x, InputRange range) {
  const int64_t rows = x.size(0);
  const int64_t in = x.size(1);
  InputCodes out{at::empty({rows, in}, x.options().dtype(at::kChar)),
                 at::empty({rows}, x.options())};
  const float* values = x.data_ptr<float>();
  int8_t* codes = out.codes.data_ptr<int8_t>();
  float* scales = out.row_scale.data_ptr<float>();
  if (range == InputRange::kPerToken) {
    for_rows(rows, in, [&](int64_t begin, int64_t end) {
      loops().quantize_rows(values + begin * in, end - begin, in, codes + begin * in,
                            scales + begin);
    });
    return out;
  }
  if (range == InputRange::kFourBits) {
    for_rows(rows, in, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        scales[row] =
            runtime_kernels().quantize_absmean_i4(values + row * in, in, codes + row * in);
      }
    });
    return out;
  }
  const float scale = 127.0f / std::max(x.abs().max().item<float>(), 1e-5f);
  std::fill(scales, scales + rows, scale);
  for_rows(rows, in, [&](int64_t begin, int64_t end) {
    loops().quantize(values + begin * in, (end - begin) * in, scale, codes + begin * in);
  });
  return out;
}

}  // namespace tercet::learn
