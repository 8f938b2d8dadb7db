// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "learn/nn/loops/quantize.inl.h"
#include "learn/nn/loops/vector_math.inl.h"

namespace tercet::learn {
namespace {

template <typename Store>
void rotate_head(const float* x, const float* cosine, const float* sine, int64_t half, Store* y) {
  for (int64_t i = 0; i < half; ++i) {
    store(y, i, x[i] * cosine[i] - x[i + half] * sine[i]);
    store(y, i + half, x[i + half] * cosine[i] + x[i] * sine[i]);
  }
}

template <typename Store>
void unrotate_head(const Store* dy, const float* cosine, const float* sine, int64_t half,
                   float* dx) {
  for (int64_t i = 0; i < half; ++i) {
    dx[i] = load(dy, i) * cosine[i] + load(dy, i + half) * sine[i];
    dx[i + half] = load(dy, i + half) * cosine[i] - load(dy, i) * sine[i];
  }
}

template <typename Store>
void split_rotate(const float* projections, const float* cosine, const float* sine, int64_t rows,
                  int64_t stride, int64_t heads, int64_t kv_heads, int64_t dim, Store* q, Store* k,
                  Store* v) {
  const int64_t half = dim / 2;
  for (int64_t t = 0; t < rows; ++t) {
    const float* in = projections + t * (heads + 2 * kv_heads) * dim;
    const float* c = cosine + t * half;
    const float* s = sine + t * half;
    for (int64_t h = 0; h < heads; ++h, in += dim)
      rotate_head(in, c, s, half, q + (h * stride + t) * dim);
    for (int64_t h = 0; h < kv_heads; ++h, in += dim) {
      rotate_head(in, c, s, half, k + (h * stride + t) * dim);
    }
    for (int64_t h = 0; h < kv_heads; ++h, in += dim) convert(in, dim, v + (h * stride + t) * dim);
  }
}

template <typename Store>
void merge_rotate(const Store* dq, const Store* dk, const Store* dv, const float* cosine,
                  const float* sine, int64_t rows, int64_t stride, int64_t heads, int64_t kv_heads,
                  int64_t dim, float* dprojections) {
  const int64_t half = dim / 2;
  for (int64_t t = 0; t < rows; ++t) {
    float* out = dprojections + t * (heads + 2 * kv_heads) * dim;
    const float* c = cosine + t * half;
    const float* s = sine + t * half;
    for (int64_t h = 0; h < heads; ++h, out += dim) {
      unrotate_head(dq + (h * stride + t) * dim, c, s, half, out);
    }
    for (int64_t h = 0; h < kv_heads; ++h, out += dim) {
      unrotate_head(dk + (h * stride + t) * dim, c, s, half, out);
    }
    for (int64_t h = 0; h < kv_heads; ++h, out += dim) widen(dv + (h * stride + t) * dim, dim, out);
  }
}

template <typename Store>
void merge_heads(const Store* x, int64_t rows, int64_t stride, int64_t heads, int64_t dim,
                 float* y) {
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t h = 0; h < heads; ++h) {
      widen(x + (h * stride + t) * dim, dim, y + (t * heads + h) * dim);
    }
  }
}

template <typename Store>
void split_heads(const float* y, int64_t rows, int64_t stride, int64_t heads, int64_t dim,
                 Store* x) {
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t h = 0; h < heads; ++h) {
      convert(y + (t * heads + h) * dim, dim, x + (h * stride + t) * dim);
    }
  }
}

// Elements that are widened at a time: loops over f32 alone are those that the compiler makes the
// widest vectors of.
constexpr int64_t kPiece = 512;

template <typename Store>
float largest(const Store* x, int64_t n) {
  alignas(64) float piece[kPiece];
  float top = -3e38f;
  for (int64_t begin = 0; begin < n; begin += kPiece) {
    const int64_t count = n - begin < kPiece ? n - begin : kPiece;
    widen(x + begin, count, piece);
    top = max_over(count, top, [&piece](int64_t i) { return piece[i]; });
  }
  return top;
}

// x = e^((x - top) scale) in place; returns the sum.
template <typename Store>
float exponentials(Store* x, int64_t n, float top, float scale) {
  alignas(64) float piece[kPiece];
  float lanes[kLanes] = {};
  for (int64_t begin = 0; begin < n; begin += kPiece) {
    const int64_t count = n - begin < kPiece ? n - begin : kPiece;
    widen(x + begin, count, piece);
    for (int64_t i = 0; i < count; ++i) piece[i] = exponential((piece[i] - top) * scale);
    convert(piece, count, x + begin);
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += piece[i + lane];
    }
    for (int lane = 0; i < count; ++i, ++lane) lanes[lane] += piece[i];
  }
  return sum_lanes(lanes);
}

template <typename Store>
void causal_softmax(Store* scores, int64_t count, int64_t rows, int64_t first, float scale) {
  const int64_t columns = first + rows;
  for (int64_t index = 0; index < count * rows; ++index) {
    Store* row = scores + index * columns;
    const int64_t visible = first + index % rows + 1;
    const float top = largest(row, visible);
    const float inverse = 1.0f / exponentials(row, visible, top, scale);
    for (int64_t i = 0; i < visible; ++i) store(row, i, load(row, i) * inverse);
    for (int64_t i = visible; i < columns; ++i) store(row, i, 0.0f);
  }
}

template <typename Store>
void causal_softmax_backward(const Store* p, Store* dp, int64_t count, int64_t rows, int64_t first,
                             float scale) {
  const int64_t columns = first + rows;
  for (int64_t index = 0; index < count * rows; ++index) {
    const Store* prob = p + index * columns;
    Store* grad = dp + index * columns;
    const int64_t visible = first + index % rows + 1;
    const float dot = sum_over(visible, [=](int64_t i) {
      return load(prob, i) * load(static_cast<const Store*>(grad), i);
    });
    for (int64_t i = 0; i < visible; ++i) {
      store(grad, i, scale * load(prob, i) * (load(grad, i) - dot));
    }
    for (int64_t i = visible; i < columns; ++i) store(grad, i, 0.0f);
  }
}

}  // namespace
}  // namespace tercet::learn
