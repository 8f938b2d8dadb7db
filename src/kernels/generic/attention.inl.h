// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/attention.h"
#include "kernels/generic/bits.inl.h"
#include "kernels/generic/vectors.inl.h"

// Attention of a tile of queries over one segment of a head's cache: scores, their exponentials,
// and the sum of values so weighted. Lanes are positions for scores and elements for values, so no
// sum crosses lanes but that of the weights, which has a fixed order: 32 lanes (position i in lane
// i % 32), added pairwise, to which what a query does not see adds 0. Beside
// V (vectors.inl.h), which also gives kQueries, the queries whose sums fit the registers.
// Anonymous namespace: see float_dot.inl.h.
namespace tercet {
namespace {

// Registers that hold the elements of a key block.
template <class V>
constexpr int kBlockVectors = static_cast<int>(kKeyBlock) / V::kFloats;

// How each type is stored and widened.
struct F32Cache {
  using Element = float;
  static constexpr bool kScaled = false;
  template <class V>
  [[gnu::always_inline]] static inline typename V::Floats widen(const Element* from) {
    return load<typename V::Floats>(from);
  }
};

struct F16Cache {
  using Element = uint16_t;
  static constexpr bool kScaled = false;
  template <class V>
  [[gnu::always_inline]] static inline typename V::Floats widen(const Element* from) {
    return V::widen_f16(from);
  }
};

struct Bf16Cache {
  using Element = uint16_t;
  static constexpr bool kScaled = false;
  template <class V>
  [[gnu::always_inline]] static inline typename V::Floats widen(const Element* from) {
    return V::widen_bf16(from);
  }
};

struct Int8Cache {
  using Element = int8_t;
  static constexpr bool kScaled = true;
  template <class V>
  [[gnu::always_inline]] static inline typename V::Floats widen(const Element* from) {
    return V::widen_i8(from);
  }
};

// body(begin) for tiles of kTile queries, then of half as many for the rest.
template <int kTile>
struct Tiles {
  template <class Body>
  [[gnu::always_inline]] static inline void each(int64_t begin, int64_t end, const Body& body) {
    for (; begin + kTile <= end; begin += kTile) body(Tiles{}, begin);
    if constexpr (kTile > 1) Tiles<kTile / 2>::each(begin, end, body);
  }
  static constexpr int value = kTile;
};

// Scores of kTile queries with the positions of a block.
template <class V, class Cache, int kTile>
inline void score_block(const AttentionCall& call, int64_t block, int64_t query) {
  using Floats = typename V::Floats;
  constexpr int kVectors = kBlockVectors<V>;
  const auto* keys =
      static_cast<const typename Cache::Element*>(call.keys) + block * call.head_dim * kKeyBlock;
  const float* queries = call.queries + query;
  Floats sums[kTile][kVectors] = {};
  for (int64_t d = 0; d < call.head_dim; ++d) {
    Floats elements[kTile];
#pragma GCC unroll 16
    for (int t = 0; t < kTile; ++t) elements[t] = fill<Floats>(queries[t]);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const Floats key = Cache::template widen<V>(keys + v * V::kFloats);
#pragma GCC unroll 16
      for (int t = 0; t < kTile; ++t) sums[t][v] += elements[t] * key;
    }
    keys += kKeyBlock;
    queries += call.query_count;
  }
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) {
    const int64_t at = block * kKeyBlock + v * V::kFloats;
#pragma GCC unroll 16
    for (int t = 0; t < kTile; ++t) {
      if constexpr (Cache::kScaled) sums[t][v] *= load<Floats>(call.key_scales + at);
      store(sums[t][v], call.weights + (query + t) * kSegmentPositions + at);
    }
  }
}

// Whether each of the positions from `at` on is seen.
template <class V>
[[gnu::always_inline]] inline Beside<V, int32_t> seen_from(int64_t at, int32_t first,
                                                           int32_t last) {
  using Signed = Beside<V, int32_t>;
  Signed position = {};
#pragma GCC unroll 16
  for (int i = 0; i < V::kFloats; ++i) position[i] = i;
  position += static_cast<int32_t>(at);
  return (position >= first) & (position < last);
}

// Turns a query's scores into weights in the blocks [begin, end).
template <class V, class Cache>
inline void weigh(const AttentionCall& call, int64_t query, int64_t begin, int64_t end) {
  using Floats = typename V::Floats;
  constexpr int kVectors = kBlockVectors<V>;
  const int32_t first = call.first[query];
  const int32_t last = call.last[query];
  float* weights = call.weights + query * kSegmentPositions;
  const Floats nothing = fill<Floats>(-__builtin_inff());
  Floats largest = nothing;
  for (int64_t at = begin * kKeyBlock; at < end * kKeyBlock; at += V::kFloats) {
    const Floats score = seen_from<V>(at, first, last) ? load<Floats>(weights + at) : nothing;
    largest = score > largest ? score : largest;
  }
  float maximum = largest[0];
  for (int i = 1; i < V::kFloats; ++i) maximum = largest[i] > maximum ? largest[i] : maximum;
  Floats sums[kVectors] = {};
  for (int64_t block = begin; block < end; ++block) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const int64_t at = block * kKeyBlock + v * V::kFloats;
      const auto seen = seen_from<V>(at, first, last);
      Floats weight = seen ? exp_of<V>(load<Floats>(weights + at) - maximum) : Floats{};
      sums[v] += weight;
      if constexpr (Cache::kScaled) {
        weight = seen ? weight * load<Floats>(call.value_scales + at) : Floats{};
      }
      store(weight, weights + at);
    }
  }
  float lanes[kKeyBlock];
  __builtin_memcpy(lanes, sums, sizeof(lanes));
  for (int64_t width = kKeyBlock / 2; width > 0; width /= 2) {
    for (int64_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  call.state.maximum[query] = maximum;
  call.state.sum[query] = lanes[0];
}

// Adds positions [begin, end) to kVectors registers of the output of kTile queries.
template <class V, class Cache, int kTile, int kVectors>
[[gnu::always_inline]] inline void add_values(const AttentionCall& call, int64_t query,
                                              int64_t begin, int64_t end, int64_t element) {
  using Floats = typename V::Floats;
  const int64_t stride = value_stride(call.head_dim);
  const auto* values =
      static_cast<const typename Cache::Element*>(call.values) + begin * stride + element;
  const float* weights = call.weights + query * kSegmentPositions;
  float* out = call.state.out + query * stride + element;
  Floats sums[kTile][kVectors];
#pragma GCC unroll 16
  for (int t = 0; t < kTile; ++t) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sums[t][v] = load<Floats>(out + t * stride + v * V::kFloats);
  }
  for (int64_t position = begin; position < end; ++position) {
    Floats weight[kTile];
#pragma GCC unroll 16
    for (int t = 0; t < kTile; ++t) {
      weight[t] = fill<Floats>(weights[t * kSegmentPositions + position]);
    }
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const Floats value = Cache::template widen<V>(values + v * V::kFloats);
#pragma GCC unroll 16
      for (int t = 0; t < kTile; ++t) sums[t][v] += weight[t] * value;
    }
    values += stride;
  }
#pragma GCC unroll 16
  for (int t = 0; t < kTile; ++t) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) store(sums[t][v], out + t * stride + v * V::kFloats);
  }
}

template <class V, class Cache, int kTile>
inline void add_range(const AttentionCall& call, int64_t query, int64_t begin, int64_t end) {
  if (begin >= end) return;
  constexpr int kVectors = kBlockVectors<V>;
  const int64_t width = value_stride(call.head_dim);
  int64_t element = 0;
  for (; element + kKeyBlock <= width; element += kKeyBlock) {
    add_values<V, Cache, kTile, kVectors>(call, query, begin, end, element);
  }
  if (element < width) {
    add_values<V, Cache, kTile, kVectors / 2>(call, query, begin, end, element);
  }
}

inline int64_t clip(int64_t value, int64_t low, int64_t high) {
  return value < low ? low : value > high ? high : value;
}

// The positions of a block: together those that all queries of the tile see, the others query by
// query, since a value that is not seen may be anything, also NaN. In rising order for each query.
template <class V, class Cache, int kTile>
inline void add_block(const AttentionCall& call, int64_t query, int64_t block) {
  const int64_t from = block * kKeyBlock;
  const int64_t to = from + kKeyBlock;
  int64_t begin = from;
  int64_t end = to;
  for (int t = 0; t < kTile; ++t) {
    const int64_t first = clip(call.first[query + t], from, to);
    const int64_t last = clip(call.last[query + t], from, to);
    begin = first > begin ? first : begin;
    end = last < end ? last : end;
  }
  end = end < begin ? begin : end;
  if constexpr (kTile > 1) {
    for (int t = 0; t < kTile; ++t) {
      const int64_t last = clip(call.last[query + t], from, begin);
      add_range<V, Cache, 1>(call, query + t, clip(call.first[query + t], from, to), last);
    }
  }
  add_range<V, Cache, kTile>(call, query, begin, end);
  if constexpr (kTile > 1) {
    for (int t = 0; t < kTile; ++t) {
      const int64_t first = clip(call.first[query + t], end, to);
      add_range<V, Cache, 1>(call, query + t, first, clip(call.last[query + t], from, to));
    }
  }
}

template <class V, class Cache>
void attend_segment(const AttentionCall& call) {
  int64_t first = kSegmentPositions;
  int64_t last = 0;
  for (int64_t i = 0; i < call.query_count; ++i) {
    if (call.first[i] >= call.last[i]) continue;
    first = call.first[i] < first ? call.first[i] : first;
    last = call.last[i] > last ? call.last[i] : last;
  }
  const int64_t begin = first / kKeyBlock;
  const int64_t end = (last + kKeyBlock - 1) / kKeyBlock;
  using All = Tiles<V::kQueries>;
  for (int64_t block = begin; block < end; ++block) {
    All::each(
        0, call.query_count, [&](auto tile, int64_t query) __attribute__((always_inline)) {
          score_block<V, Cache, decltype(tile)::value>(call, block, query);
        });
  }
  const int64_t stride = value_stride(call.head_dim);
  for (int64_t i = 0; i < call.query_count; ++i) {
    weigh<V, Cache>(call, i, begin, end);
    for (int64_t d = 0; d < stride; ++d) call.state.out[i * stride + d] = 0.0f;
  }
  for (int64_t block = begin; block < end; ++block) {
    All::each(
        0, call.query_count, [&](auto tile, int64_t query) __attribute__((always_inline)) {
          add_block<V, Cache, decltype(tile)::value>(call, query, block);
        });
  }
}

// Query `from` of one state joins query `to` of another.
template <class V>
void merge_attention(const AttentionState& state, int64_t from, int64_t head_dim,
                     const AttentionState& into, int64_t to) {
  using Floats = typename V::Floats;
  const int64_t stride = value_stride(head_dim);
  const float* out = state.out + from * stride;
  float* total = into.out + to * stride;
  if (state.sum[from] == 0.0f) return;
  if (into.sum[to] == 0.0f) {
    into.maximum[to] = state.maximum[from];
    into.sum[to] = state.sum[from];
    for (int64_t d = 0; d < stride; ++d) total[d] = out[d];
    return;
  }
  const float a = into.maximum[to];
  const float b = state.maximum[from];
  const float maximum = b > a ? b : a;
  const float keep = exp_of<V>(fill<Floats>(a - maximum))[0];
  const float share = exp_of<V>(fill<Floats>(b - maximum))[0];
  into.maximum[to] = maximum;
  into.sum[to] = into.sum[to] * keep + state.sum[from] * share;
  map<V>(total, out, stride, total, [=](auto x, auto y) { return x * keep + y * share; });
}

// out = the state's output divided by its sum; [head_dim].
template <class V>
void finish_attention(const AttentionState& state, int64_t query, int64_t head_dim, float* out) {
  const float inverse = 1.0f / state.sum[query];
  const float* from = state.out + query * value_stride(head_dim);
  map<V>(from, from, head_dim, out, [=](auto value, auto) { return value * inverse; });
}

}  // namespace
}  // namespace tercet
