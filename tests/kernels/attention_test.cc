// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/half.h"
#include "core/rng.h"
#include "kernels/every_isa.h"

namespace tercet {
namespace {

constexpr KvType kTypes[] = {KvType::kF32, KvType::kF16, KvType::kBF16, KvType::kInt8};

// A head's segment in one type, and the values that it then holds.
struct Segment {
  int64_t head_dim;
  KvType type;
  std::vector<uint8_t> keys;
  std::vector<uint8_t> values;
  std::vector<float> key_scales = std::vector<float>(kSegmentPositions);
  std::vector<float> value_scales = std::vector<float>(kSegmentPositions);
  std::vector<float> plain_keys;    // [positions][head_dim]
  std::vector<float> plain_values;  // [positions][head_dim]

  Segment(int64_t dim, KvType stored, uint64_t seed) : head_dim(dim), type(stored) {
    const size_t size = type == KvType::kF32 ? 4 : type == KvType::kInt8 ? 1 : 2;
    keys.resize(static_cast<size_t>(kSegmentPositions * dim) * size);
    values.resize(static_cast<size_t>(kSegmentPositions * value_stride(dim)) * size);
    Rng rng(seed);
    for (int64_t p = 0; p < kSegmentPositions; ++p) {
      key_scales[p] = static_cast<float>(rng.uniform()) * 0.02f;
      value_scales[p] = static_cast<float>(rng.uniform()) * 0.02f;
      for (int64_t d = 0; d < dim; ++d) {
        const int64_t key_at = (p / kKeyBlock * dim + d) * kKeyBlock + p % kKeyBlock;
        plain_keys.push_back(put(keys, key_at, rng.uniform() * 4 - 2, key_scales[p]));
        plain_values.push_back(
            put(values, p * value_stride(dim) + d, rng.uniform() * 4 - 2, value_scales[p]));
      }
    }
  }

  // What remains of `value`.
  float put(std::vector<uint8_t>& bytes, int64_t at, double value, float scale) const {
    const float x = static_cast<float>(value);
    if (type == KvType::kF32) {
      std::memcpy(&bytes[static_cast<size_t>(4 * at)], &x, 4);
      return x;
    }
    if (type == KvType::kInt8) {
      const auto q = static_cast<int8_t>(x * 60);
      std::memcpy(&bytes[static_cast<size_t>(at)], &q, 1);
      return static_cast<float>(q) * scale;
    }
    const uint16_t half = type == KvType::kF16 ? f32_to_f16(x) : f32_to_bf16(x);
    std::memcpy(&bytes[static_cast<size_t>(2 * at)], &half, 2);
    return type == KvType::kF16 ? f16_to_f32(half) : bf16_to_f32(half);
  }
};

struct Range {
  int32_t first;
  int32_t last;
};

struct Result {
  std::vector<float> maximum;
  std::vector<float> sum;
  std::vector<float> out;
  bool operator==(const Result&) const = default;
  AttentionState state() { return {maximum.data(), sum.data(), out.data()}; }
};

float query_element(int64_t query, int64_t d) {
  return std::sin(static_cast<float>(1 + query * 31 + d * 7)) * 0.4f;
}

// `numbers`: which queries the call holds.
Result attend(const KernelTable& table, const Segment& segment, const std::vector<int64_t>& numbers,
              const std::vector<Range>& ranges) {
  const size_t count = numbers.size();
  const auto stride = static_cast<size_t>(value_stride(segment.head_dim));
  Result result{std::vector<float>(count), std::vector<float>(count),
                std::vector<float>(count * stride, 7.0f)};
  std::vector<float> queries;
  for (int64_t d = 0; d < segment.head_dim; ++d) {
    for (const int64_t number : numbers) queries.push_back(query_element(number, d));
  }
  std::vector<int32_t> first;
  std::vector<int32_t> last;
  for (const int64_t number : numbers) {
    first.push_back(ranges[number].first);
    last.push_back(ranges[number].last);
  }
  std::vector<float> weights(count * kSegmentPositions, std::nanf(""));
  AttentionCall call;
  call.keys = segment.keys.data();
  call.values = segment.values.data();
  call.key_scales = segment.key_scales.data();
  call.value_scales = segment.value_scales.data();
  call.head_dim = segment.head_dim;
  call.query_count = static_cast<int64_t>(count);
  call.queries = queries.data();
  call.first = first.data();
  call.last = last.data();
  call.weights = weights.data();
  call.state = result.state();
  table.attend[static_cast<size_t>(segment.type)](call);
  return result;
}

std::vector<Range> some_ranges(int64_t count) {
  const std::vector<Range> ranges = {{0, 1},   {0, 256}, {0, 31},    {5, 6},     {31, 33},
                                     {0, 100}, {64, 96}, {255, 256}, {100, 228}, {3, 3}};
  std::vector<Range> out;
  for (int64_t i = 0; i < count; ++i) out.push_back(ranges[static_cast<size_t>(i * 7 % 10)]);
  return out;
}

std::vector<int64_t> up_to(int64_t count) {
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < count; ++i) numbers.push_back(i);
  return numbers;
}

void expect_formula(const Segment& segment, const Result& result, int64_t query, Range range) {
  std::vector<double> scores;
  for (int64_t p = range.first; p < range.last; ++p) {
    double score = 0;
    for (int64_t d = 0; d < segment.head_dim; ++d) {
      score += static_cast<double>(query_element(query, d)) *
               static_cast<double>(segment.plain_keys[p * segment.head_dim + d]);
    }
    scores.push_back(score);
  }
  const double maximum = scores.empty() ? 0 : *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& score : scores) sum += score = std::exp(score - maximum);
  EXPECT_NEAR(result.sum[query], sum, 1e-4 * sum + 1e-30);
  const int64_t stride = value_stride(segment.head_dim);
  for (int64_t d = 0; d < segment.head_dim; ++d) {
    double expected = 0;
    for (size_t i = 0; i < scores.size(); ++i) {
      const int64_t p = range.first + static_cast<int64_t>(i);
      expected += scores[i] * static_cast<double>(segment.plain_values[p * segment.head_dim + d]);
    }
    EXPECT_NEAR(result.out[query * stride + d], expected, 2e-5 * (1 + sum)) << query << ' ' << d;
  }
}

TEST(Attention, IsTheFormulaInEveryTypeAndTheSameBitsOnEveryIsa) {
  for (const KvType type : kTypes) {
    SCOPED_TRACE(static_cast<int>(type));
    for (const int64_t head_dim : {1, 8, 16, 36, 64, 80, 128}) {
      const Segment segment(head_dim, type, 11);
      for (const int64_t queries : {1, 2, 3, 5, 8, 13}) {
        const std::vector<Range> ranges = some_ranges(queries);
        const Result expected = attend(select_kernels("scalar"), segment, up_to(queries), ranges);
        if (queries == 13) {
          for (int64_t i = 0; i < queries; ++i) expect_formula(segment, expected, i, ranges[i]);
        }
        on_every_isa([&](const KernelTable& table) {
          EXPECT_TRUE(attend(table, segment, up_to(queries), ranges) == expected)
              << head_dim << ' ' << queries;
        });
      }
    }
  }
}

TEST(Attention, AQueryDoesNotDependOnItsCompany) {
  for (const KvType type : kTypes) {
    const Segment segment(64, type, 12);
    const std::vector<Range> ranges = some_ranges(13);
    on_every_isa([&](const KernelTable& table) {
      const Result all = attend(table, segment, up_to(13), ranges);
      for (int64_t i = 0; i < 13; ++i) {
        const Result alone = attend(table, segment, {i}, ranges);
        EXPECT_EQ(alone.sum[0], all.sum[i]);
        EXPECT_TRUE(std::equal(alone.out.begin(), alone.out.end(), all.out.begin() + i * 64)) << i;
      }
    });
  }
}

// What lies behind the positions seen may be anything.
TEST(Attention, PositionsThatAreNotSeenDoNotCount) {
  for (const KvType type : {KvType::kF32, KvType::kF16, KvType::kBF16}) {
    Segment segment(32, type, 13);
    const std::vector<Range> ranges = {{2, 40}};
    const size_t size = type == KvType::kF32 ? 4 : 2;
    on_every_isa([&](const KernelTable& table) {
      const Result expected = attend(table, segment, {0}, ranges);
      Segment other = segment;
      for (int64_t p = 40; p < kSegmentPositions; ++p) {
        for (int64_t d = 0; d < 32; ++d) {
          const int64_t at = (p / kKeyBlock * 32 + d) * kKeyBlock + p % kKeyBlock;
          std::memset(&other.keys[static_cast<size_t>(at) * size], 0xFF, size);  // NaN
          std::memset(&other.values[static_cast<size_t>(p * 32 + d) * size], 0xFF, size);
        }
      }
      EXPECT_TRUE(attend(table, other, {0}, ranges) == expected);
      // Nor when other queries of the same call see them.
      const std::vector<Range> several = {{0, 50}, {2, 40}, {39, 41}, {2, 39}, {0, 256}};
      const Result among = attend(table, other, up_to(5), several);
      const Result clean = attend(table, segment, up_to(5), several);
      for (const size_t query : {1U, 3U}) {
        EXPECT_EQ(among.sum[query], clean.sum[query]);
        EXPECT_TRUE(std::equal(among.out.begin() + query * 32, among.out.begin() + query * 32 + 32,
                               clean.out.begin() + query * 32));
      }
    });
  }
}

TEST(Attention, NanInWhatIsSeenShows) {
  Segment segment(32, KvType::kF32, 14);
  const float nan = std::nanf("");
  std::memcpy(&segment.keys[4 * 17], &nan, 4);
  on_every_isa([&](const KernelTable& table) {
    EXPECT_TRUE(std::isnan(attend(table, segment, {0}, {{0, 20}}).sum[0]));
  });
}

TEST(Attention, SegmentsMergeToTheWhole) {
  const Segment segment(36, KvType::kF32, 15);
  const std::vector<Range> whole = {{0, 256}};
  const Result expected = attend(select_kernels("scalar"), segment, {0}, whole);
  std::vector<float> scalar_out;
  on_every_isa([&](const KernelTable& table) {
    Result total{{0.0f}, {0.0f}, std::vector<float>(48)};
    for (const Range part : {Range{0, 0}, Range{0, 96}, Range{96, 97}, Range{97, 256}}) {
      Result result = attend(table, segment, {0}, {part});
      table.merge_attention(result.state(), 0, 36, total.state(), 0);
    }
    std::vector<float> out(36);
    table.finish_attention(total.state(), 0, 36, out.data());
    for (size_t d = 0; d < out.size(); ++d) {
      EXPECT_NEAR(out[d], expected.out[d] / expected.sum[0], 1e-6);
    }
    if (scalar_out.empty()) scalar_out = out;
    EXPECT_EQ(out, scalar_out);
  });
}

}  // namespace
}  // namespace tercet
