// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>

#include "core/half.h"
#include "packing/quant_blocks.h"

namespace tercet::packing {
namespace {

constexpr int kGroup = 16;
constexpr int kGroups = 16;
constexpr float kLargestCode = 31;
constexpr float kSmallestCode = -32;
// Scales that are tried for a group, around the one that gives its largest weight the code -32.
constexpr int kTries = 9;
constexpr float kTryStep = 0.02f;
constexpr float kSmallestScale = 1e-20f;  // far below what an f16 can hold

float code_of(float weight, float inverse) {
  return std::clamp(std::round(weight * inverse), kSmallestCode, kLargestCode);
}

// The scale with which codes of six bits come closest to the weights, in the sense of least
// squares; 0 for zeros.
float best_scale(const float* weights) {
  float extreme = 0;
  for (int i = 0; i < kGroup; ++i) {
    if (std::fabs(weights[i]) > std::fabs(extreme)) extreme = weights[i];
  }
  const float first = extreme / kSmallestCode;
  if (std::fabs(first) < kSmallestScale) return 0;
  float best = first;
  float best_gain = -1;
  for (int t = 0; t < kTries; ++t) {
    const float inverse = (1 + kTryStep * static_cast<float>(t - kTries / 2)) / first;
    float product = 0;
    float square = 0;
    for (int i = 0; i < kGroup; ++i) {
      const float code = code_of(weights[i], inverse);
      product += weights[i] * code;
      square += code * code;
    }
    // By so much the best scale for these codes lowers the squared error.
    const float gain = square > 0 ? product * (product / square) : 0;
    if (gain <= best_gain) continue;
    best_gain = gain;
    best = product / square;
  }
  return best;
}

// See decode_q6_k() for where the bits lie.
void put_code(uint8_t* block, int index, int code) {
  const int half = index / 128;
  const int run = index / 32 % 4;
  const int place = index % 32;
  uint8_t& low = block[half * 64 + run % 2 * 32 + place];
  uint8_t& high = block[128 + half * 32 + place];
  low = static_cast<uint8_t>(low | (code & 15) << (run < 2 ? 0 : 4));
  high = static_cast<uint8_t>(high | (code >> 4) << (2 * run));
}

bool encode_block(const float* weights, uint8_t* block) {
  std::fill(block, block + block_shape(BlockType::kQ6_K).bytes, uint8_t{0});
  std::array<float, kGroups> scales;
  float largest = 0;
  for (int g = 0; g < kGroups; ++g) {
    scales[static_cast<size_t>(g)] = best_scale(weights + g * kGroup);
    largest = std::max(largest, std::fabs(scales[static_cast<size_t>(g)]));
  }
  const uint16_t stored = f32_to_f16(largest / 127);
  const float unit = f16_to_f32(stored);
  if (!std::isfinite(unit)) return false;
  block[208] = static_cast<uint8_t>(stored & 0xFF);
  block[209] = static_cast<uint8_t>(stored >> 8);
  for (int g = 0; g < kGroups; ++g) {
    const float steps = unit > 0 ? scales[static_cast<size_t>(g)] / unit : 0;
    const float rounded = std::clamp(std::round(steps), -127.0f, 127.0f);
    block[192 + g] = static_cast<uint8_t>(static_cast<int8_t>(rounded));
    const float scale = unit * rounded;
    const float inverse = scale != 0 ? 1 / scale : 0;
    for (int i = g * kGroup; i < (g + 1) * kGroup; ++i) {
      put_code(block, i, static_cast<int>(code_of(weights[i], inverse)) + 32);
    }
  }
  return true;
}

}  // namespace

bool encode_q6_k(const float* weights, int64_t elements, uint8_t* blocks) {
  const BlockShape shape = block_shape(BlockType::kQ6_K);
  const bool finite =
      std::all_of(weights, weights + elements, [](float x) { return std::isfinite(x); });
  if (!finite) return false;
  for (int64_t i = 0; i < elements; i += shape.elements, blocks += shape.bytes) {
    if (!encode_block(weights + i, blocks)) return false;
  }
  return true;
}

}  // namespace tercet::packing
