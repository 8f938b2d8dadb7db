// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/weight_counts.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "packing/absmean.h"
#include "packing/ternary.h"

namespace tercet::learn {
namespace {

constexpr size_t kPerWord = 32;
constexpr uint64_t kLowBits = 0x5555555555555555;  // of each code

// Eight codes to two bits each, in two's complement.
uint64_t packed_eight(const int8_t* codes) {
  static_assert(std::endian::native == std::endian::little);
  uint64_t word;
  std::memcpy(&word, codes, sizeof(word));
  word &= 0x0303030303030303;
  word = (word | word >> 6) & 0x000F000F000F000F;
  word = (word | word >> 12) & 0x000000FF000000FF;
  return (word | word >> 24) & 0xFFFF;
}

// Up to 32 codes; the places behind them are 0.
uint64_t packed(std::span<const int8_t> codes) {
  std::array<int8_t, kPerWord> whole = {};
  std::memcpy(whole.data(), codes.data(), codes.size());
  uint64_t word = 0;
  for (size_t i = 0; i < kPerWord; i += 8) word |= packed_eight(whole.data() + i) << (2 * i);
  return word;
}

// A matrix whose columns fall into groups.
struct Groups {
  std::span<const float> weights;
  size_t rows;
  size_t count;
  size_t width;  // columns of a group

  std::span<const float> part(size_t row, size_t group) const {
    return weights.subspan((row * count + group) * width, width);
  }
};

struct GroupRounding {
  float scale = 1;
  float centre = 0;  // of b1
};

std::vector<GroupRounding> roundings_of(const Groups& matrix, LinearKind kind) {
  std::vector<GroupRounding> roundings(matrix.count);
  for (size_t group = 0; group < matrix.count; ++group) {
    packing::AbsmeanSum magnitudes;
    packing::MeanSum sum;
    for (size_t row = 0; row < matrix.rows; ++row) {
      magnitudes.add(matrix.part(row, group));
      if (kind == LinearKind::kB1) sum.add(matrix.part(row, group));
    }
    roundings[group] = {magnitudes.scale(), sum.mean()};
  }
  return roundings;
}

size_t bin_of(float in_scales) {
  if (in_scales >= static_cast<float>(LatentBins::kHigh)) return LatentBins::kAll - 1;
  if (!(in_scales >= static_cast<float>(LatentBins::kLow))) return 0;
  constexpr double kPerScale = LatentBins::kInside / (LatentBins::kHigh - LatentBins::kLow);
  const auto bin = static_cast<int64_t>((in_scales - LatentBins::kLow) * kPerScale);
  return static_cast<size_t>(1 + std::min(bin, LatentBins::kInside - 1));
}

}  // namespace

WeightCounts& WeightCounts::operator+=(const WeightCounts& other) {
  weights += other.weights;
  minus += other.minus;
  zero += other.zero;
  plus += other.plus;
  changed += other.changed;
  for (size_t i = 0; i < histogram.size(); ++i) histogram[i] += other.histogram[i];
  return *this;
}

CodeMemory::CodeMemory(int64_t rows, int64_t cols)
    : words_per_row_((static_cast<size_t>(cols) + kPerWord - 1) / kPerWord),
      words_(static_cast<size_t>(rows) * words_per_row_) {}

void CodeMemory::replace_row(int64_t row, std::span<const int8_t> codes, WeightCounts& counts) {
  uint64_t* word = words_.data() + static_cast<size_t>(row) * words_per_row_;
  for (size_t at = 0; at < codes.size(); at += kPerWord) {
    const uint64_t now = packed(codes.subspan(at, std::min(kPerWord, codes.size() - at)));
    const uint64_t difference = now ^ std::exchange(*word++, now);
    counts.changed += std::popcount((difference | difference >> 1) & kLowBits);
    const uint64_t negative = now >> 1 & kLowBits;
    counts.minus += std::popcount(negative);
    counts.plus += std::popcount(now & ~negative & kLowBits);
  }
}

WeightCounts count_weights(std::span<const float> weights, int64_t rows, int64_t cols,
                           LinearKind kind, CodeMemory* memory, int64_t groups) {
  WeightCounts counts;
  counts.weights = rows * cols;
  const Groups matrix{weights, static_cast<size_t>(rows), static_cast<size_t>(groups),
                      static_cast<size_t>(cols / groups)};
  const std::vector<GroupRounding> roundings = roundings_of(matrix, kind);
  std::vector<int8_t> codes(static_cast<size_t>(cols));
  for (size_t row = 0; row < matrix.rows; ++row) {
    for (size_t group = 0; group < matrix.count; ++group) {
      const auto values = matrix.part(row, group);
      const float inverse = 1.0f / roundings[group].scale;
      for (const float value : values) ++counts.histogram[bin_of(value * inverse)];
      if (memory == nullptr) continue;
      const auto to = std::span(codes).subspan(group * matrix.width, matrix.width);
      if (kind == LinearKind::kB1) {
        packing::centred_sign_codes(values, roundings[group].centre, to);
      } else {
        packing::absmean_codes(values, roundings[group].scale, to);
      }
    }
    if (memory != nullptr) memory->replace_row(static_cast<int64_t>(row), codes, counts);
  }
  if (memory != nullptr) counts.zero = counts.weights - counts.minus - counts.plus;
  return counts;
}

}  // namespace tercet::learn
