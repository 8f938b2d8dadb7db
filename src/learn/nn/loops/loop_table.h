// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace tercet::learn {

// Fused element-wise loops of the CPU path, one table per instruction set. Matrix products are
// libtorch's; these loops replace chains of small tensor operations, each of which would cross
// memory once. All matrices are row-major and contiguous. `Store` is float or bf16 bits (uint16_t).
// No loop allocates, throws or starts threads: the caller splits rows.
template <typename Store>
struct TypedLoops {
  // y[i] = x[i].
  void (*convert)(const float* x, int64_t n, Store* y);
  void (*widen)(const Store* x, int64_t n, float* y);

  // y[i] = codes[i].
  void (*numbers)(const int8_t* codes, int64_t n, Store* y);

  // y[r, c] = x[r, c] * factor[r]; x and y are [rows, n].
  void (*scale_rows)(const Store* x, const float* factor, int64_t rows, int64_t n, float* y);

  // What both backward products of a low-bit layer take:
  // y[r, c] = dy[r, c] * (col_scale[c] / row_scale[r]).
  void (*scale_gradient)(const float* dy, const float* row_scale, const float* col_scale,
                         int64_t rows, int64_t n, Store* y);

  // Splits projections [rows, (heads + 2 kv) * dim] of one sequence into rotated queries
  // [heads, stride, dim], rotated keys [kv, stride, dim] and values [kv, stride, dim], of which
  // the first `rows` of each head are written. cosine, sine: [rows, dim / 2]; the first half of a
  // head pairs with the second (HF convention).
  void (*split_rotate)(const float* projections, const float* cosine, const float* sine,
                       int64_t rows, int64_t stride, int64_t heads, int64_t kv_heads, int64_t dim,
                       Store* q, Store* k, Store* v);
  // The transpose of split_rotate, for gradients.
  void (*merge_rotate)(const Store* dq, const Store* dk, const Store* dv, const float* cosine,
                       const float* sine, int64_t rows, int64_t stride, int64_t heads,
                       int64_t kv_heads, int64_t dim, float* dprojections);
  // The first `rows` of [heads, stride, dim] -> [rows, heads * dim] and back.
  void (*merge_heads)(const Store* x, int64_t rows, int64_t stride, int64_t heads, int64_t dim,
                      float* y);
  void (*split_heads)(const float* y, int64_t rows, int64_t stride, int64_t heads, int64_t dim,
                      Store* x);

  // Causal softmax in place over `count` matrices of scores [rows, first + rows]: row t sees
  // columns 0..first + t, the rest becomes 0. The scores are multiplied by `scale` first.
  void (*causal_softmax)(Store* scores, int64_t count, int64_t rows, int64_t first, float scale);
  // dscores = scale * p * (dp - sum(dp * p)), in place in dp; shapes as above.
  void (*causal_softmax_backward)(const Store* p, Store* dp, int64_t count, int64_t rows,
                                  int64_t first, float scale);

  // Cross entropy over rows of logits [rows, vocab]. Returns the summed loss and replaces logits by
  // (softmax - one_hot(target)) * gradient_scale. Targets below 0 give loss 0 and gradient 0.
  double (*cross_entropy)(Store* logits, const int64_t* targets, int64_t rows, int64_t vocab,
                          float gradient_scale);
  // KL(softmax(wanted) || softmax(logits)) over rows of both, summed; logits become its gradient,
  // (softmax(logits) - softmax(wanted)) * gradient_scale.
  double (*divergence)(const Store* wanted, Store* logits, int64_t rows, int64_t vocab,
                       float gradient_scale);
};

// The numbers of one update of AdamW.
struct AdamwFactors {
  float gradient_scale = 1;
  float beta1 = 0;
  float beta2 = 0;
  float eps = 0;
  float keep = 1;        // 1 - learning rate * weight decay
  float step_size = 0;   // learning rate / (1 - beta1^n)
  float root_scale = 1;  // 1 / sqrt(1 - beta2^n)
};

// The numbers of a ternary code that is still soft, times its scale.
struct SoftTernary {
  float sharpness = 0;
  float cosine = 1;  // cosh(sharpness)
  float unit = 1;    // scale / tanh(sharpness)
};

struct LoopTable {
  const char* name;
  TypedLoops<float> f32;
  TypedLoops<uint16_t> bf16;

  // Per-token absmax int8 codes (BitNet b1.58): codes [rows, n] in [-127, 127]; scale[r] = 127 /
  // absmax, so that x ~ codes / scale. A row that is not finite gets a scale of 0 or NaN, so that
  // what is divided by it shows it.
  void (*quantize_rows)(const float* x, int64_t rows, int64_t n, int8_t* codes, float* scale);
  // The same with a scale given: codes[i] = round_half_even(x[i] * scale).
  void (*quantize)(const float* x, int64_t n, float scale, int8_t* codes);
  // y[i] = x[i] + share * (codes[i] * unit - x[i]).
  void (*fade)(const float* x, const int8_t* codes, int64_t n, float unit, float share, float* y);
  // codes[i] = w[i] > centre ? 1 : -1.
  void (*binarize)(const float* w, int64_t n, float centre, int8_t* codes);
  // codes[i] = clamp(round_half_even(w[i] * inverse_gamma), -1, 1).
  void (*ternarize)(const float* w, int64_t n, float inverse_gamma, int8_t* codes);

  // y[i] = unit / 2 * [tanh(sharpness (w[i] - 1/2)) + tanh(sharpness (w[i] + 1/2))].
  void (*soft_ternary)(const SoftTernary& form, const float* w, int64_t n, float* y);
  // dw, and the sum of dy[i] * y[i].
  float (*soft_ternary_backward)(const SoftTernary& form, const float* w, const float* dy,
                                 int64_t n, float* dw);
  // y[i] = unit * clamp(round_half_even(w[i]), -1, 1); backwards as if it were unit * w[i].
  void (*hard_ternary)(const float* w, int64_t n, float unit, float* y);
  float (*hard_ternary_backward)(const float* w, const float* dy, int64_t n, float unit, float* dw);

  // One update of n weights and both their moments.
  void (*adamw)(const AdamwFactors& factors, const float* gradient, int64_t n, float* weight,
                float* exp_avg, float* exp_avg_sq);

  // y = x / rms(x) * w; inverse[r] = 1 / sqrt(mean(x^2) + eps). x, y: [rows, n].
  void (*rms_norm)(const float* x, const float* w, float eps, int64_t rows, int64_t n, float* y,
                   float* inverse);
  // dx, and dw summed over the rows (dw is added to).
  void (*rms_norm_backward)(const float* x, const float* w, const float* inverse, const float* dy,
                            int64_t rows, int64_t n, float* dx, float* dw);

  // y = (x - mean) * inverse with the mean of each row and inverse[r] = 1 / sqrt(variance + eps).
  void (*plain_norm)(const float* x, float eps, int64_t rows, int64_t n, float* y, float* mean,
                     float* inverse);
  void (*plain_norm_backward)(const float* x, const float* mean, const float* inverse,
                              const float* dy, int64_t rows, int64_t n, float* dx);

  // y[r] = act(gate) * up for gate_up [rows, 2 n] (gate first), y [rows, n].
  void (*glu_silu)(const float* gate_up, int64_t rows, int64_t n, float* y);
  void (*glu_relu2)(const float* gate_up, int64_t rows, int64_t n, float* y);
  void (*glu_silu_backward)(const float* gate_up, const float* dy, int64_t rows, int64_t n,
                            float* dgate_up);
  void (*glu_relu2_backward)(const float* gate_up, const float* dy, int64_t rows, int64_t n,
                             float* dgate_up);

  template <typename Store>
  const TypedLoops<Store>& typed() const {
    if constexpr (sizeof(Store) == sizeof(float)) {
      return f32;
    } else {
      return bf16;
    }
  }
};

// The best table that this CPU can run.
const LoopTable& loops();

}  // namespace tercet::learn
