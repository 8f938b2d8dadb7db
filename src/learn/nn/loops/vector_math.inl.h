// SPDX-License-Identifier: Apache-2.0
// Scalar pieces written so that the compiler turns loops over them into vector code without
// -ffast-math: no libm calls, no branches, reductions over a fixed number of lanes.
#pragma once

#include <bit>
#include <cstdint>

namespace tercet::learn {
namespace {

constexpr int kLanes = 16;

inline float load(const float* p, int64_t i) { return p[i]; }
inline float load(const uint16_t* p, int64_t i) {
  return std::bit_cast<float>(static_cast<uint32_t>(p[i]) << 16);
}

inline void store(float* p, int64_t i, float value) { p[i] = value; }
// Round to nearest even; a NaN stays one (its payload's upper bits survive).
inline void store(uint16_t* p, int64_t i, float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
  const uint32_t nan = (bits >> 16) | 0x40u;
  p[i] = static_cast<uint16_t>((bits & 0x7FFFFFFFu) > 0x7F800000u ? nan : rounded);
}

inline float larger(float a, float b) { return a > b ? a : b; }
inline float smaller(float a, float b) { return a < b ? a : b; }
inline float magnitude(float a) {
  return std::bit_cast<float>(std::bit_cast<uint32_t>(a) & 0x7FFFFFFFu);
}

// Round half to even for |x| < 2^22: adding 1.5 * 2^23 leaves no fraction bits.
inline float round_even(float x) { return (x + 12582912.0f) - 12582912.0f; }

// e^x with a relative error below 2e-7 for x in [-87, 88]; clamped outside.
// 2^k * p(r) with x = k ln 2 + r, |r| <= ln 2 / 2, p the Taylor polynomial of degree 7.
inline float exponential(float x) {
  const float clamped = smaller(larger(x, -87.0f), 88.0f);
  const float k = round_even(clamped * 1.44269504f);
  // ln 2 in two parts, the first exact in 9 bits, so that k * high is exact.
  const float r = (clamped - k * 0.693359375f) + k * 2.12194440e-4f;
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const uint32_t power = static_cast<uint32_t>(static_cast<int32_t>(k) + 127) << 23;
  return p * std::bit_cast<float>(power);
}

inline float sum_lanes(const float* lanes) {
  float pairs[kLanes / 2];
  for (int i = 0; i < kLanes / 2; ++i) pairs[i] = lanes[i] + lanes[i + kLanes / 2];
  float total = 0.0f;
  for (float value : pairs) total += value;
  return total;
}

inline float max_lanes(const float* lanes) {
  float top = lanes[0];
  for (int i = 1; i < kLanes; ++i) top = larger(top, lanes[i]);
  return top;
}

// sum over i of term(i), i in [0, n), in kLanes interleaved partial sums.
template <typename Term>
inline float sum_over(int64_t n, Term term) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
  }
  for (int lane = 0; i < n; ++i, ++lane) lanes[lane] += term(i);
  return sum_lanes(lanes);
}

// Largest term(i), at least `floor`.
template <typename Term>
inline float max_over(int64_t n, float floor, Term term) {
  float lanes[kLanes];
  for (float& lane : lanes) lane = floor;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = larger(lanes[lane], term(i + lane));
  }
  for (; i < n; ++i) lanes[0] = larger(lanes[0], term(i));
  return max_lanes(lanes);
}

}  // namespace
}  // namespace tercet::learn
