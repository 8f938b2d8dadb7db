// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <tuple>
#include <vector>

#include "core/rng.h"
#include "kernels/every_isa.h"
#include "kernels/panel_source.h"
#include "packing/row_codes.h"

namespace tercet {
namespace {

using packing::Layout;
using packing::ScaleScope;

// How the test values are drawn.
enum class Draw { kRandom, kZeros, kAllPlusLowest, kAllMinusLowest, kAllPlusHighest };

int code_of(Draw draw, Rng& rng) {
  switch (draw) {
    case Draw::kZeros:
      return 0;
    case Draw::kAllPlusLowest:
    case Draw::kAllPlusHighest:
      return 1;
    case Draw::kAllMinusLowest:
      return -1;
    default:
      return static_cast<int>(rng.below(3)) - 1;
  }
}

int activation_of(Draw draw, Rng& rng) {
  if (draw == Draw::kAllPlusLowest || draw == Draw::kAllMinusLowest) return -128;
  if (draw == Draw::kAllPlusHighest) return 127;
  return static_cast<int>(rng.below(256)) - 128;
}

struct Case {
  PanelSource source;
  std::vector<int8_t> codes;    // [rows, cols]
  std::vector<uint8_t> stored;  // rows `stride` bytes apart, `shift` bytes into the buffer
  int64_t stride = 0;
  int64_t shift = 0;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t group = 0;  // cols unless scales are per group
  ScaleScope scope = ScaleScope::kTensor;
  std::vector<float> scales;     // 1, [rows] or [rows, groups]
  bool scale_per_group = false;  // of the activations: [tokens, groups]

  int64_t groups() const { return (cols + group - 1) / group; }
};

void draw_scales(Case& test, Rng& rng) {
  const int64_t count = test.scope == ScaleScope::kTensor ? 1 : test.rows * test.groups();
  for (int64_t i = 0; i < count; ++i) {
    test.scales.push_back(static_cast<float>(0.01 + rng.uniform()));
  }
}

Case ternary_case(Layout layout, int64_t rows, int64_t cols, ScaleScope scope, int64_t group,
                  Draw draw) {
  Rng rng(static_cast<uint64_t>(rows * 1000 + cols));
  Case test;
  test.source = panel_source(layout);
  test.rows = rows;
  test.cols = cols;
  test.scope = scope;
  test.group = scope == ScaleScope::kGroup ? group : cols;
  test.shift = 3;  // no kernel may count on alignment
  const int64_t bytes = packing::stored_row_bytes(layout, cols, test.group);
  test.stride = bytes + 5;
  test.stored.assign(static_cast<size_t>(test.shift + rows * test.stride), 0xFF);
  const std::vector<uint16_t> ones(static_cast<size_t>(cols), 0x3C00);
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<int8_t> codes;
    for (int64_t i = 0; i < cols; ++i) codes.push_back(static_cast<int8_t>(code_of(draw, rng)));
    if (layout == Layout::kSign8 || layout == Layout::kQ1_0) {
      std::replace(codes.begin(), codes.end(), int8_t{0}, int8_t{1});  // they have none
    }
    const size_t blocks =
        packing::has_block_scales(layout) ? cols / packing::block_codes(layout) : 0;
    EXPECT_TRUE(packing::pack_row(layout, codes, test.group, std::span(ones).first(blocks),
                                  test.stored.data() + test.shift + row * test.stride));
    test.codes.insert(test.codes.end(), codes.begin(), codes.end());
  }
  draw_scales(test, rng);
  return test;
}

// Signed nibbles, as the planes of an output head are.
Case nibble_case(int64_t rows, int64_t cols) {
  Rng rng(7);
  Case test;
  test.source = nibble_source();
  test.rows = rows;
  test.cols = test.group = cols;
  test.scope = ScaleScope::kRow;
  test.stride = (cols + 7) / 8 * 4;
  test.stored.assign(static_cast<size_t>(rows * test.stride), 0);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t c = 0; c < cols; ++c) {
      const int digit = static_cast<int>(rng.below(16));
      test.codes.push_back(static_cast<int8_t>(digit - 8));
      test.stored[static_cast<size_t>(row * test.stride + c / 8 * 4 + c % 4)] |=
          static_cast<uint8_t>(digit << (c % 8 / 4 * 4));
    }
  }
  draw_scales(test, rng);
  return test;
}

// The formulas of kernels/panel.h written out.
std::vector<float> reference(const Case& test, const std::vector<int8_t>& q,
                             const std::vector<float>& q_scales) {
  std::vector<float> out;
  const size_t per_token = test.scale_per_group ? static_cast<size_t>(test.groups()) : 1;
  for (size_t t = 0; t < q_scales.size() / per_token; ++t) {
    for (int64_t row = 0; row < test.rows; ++row) {
      float total = 0.0f;
      for (int64_t g = 0; g < test.groups(); ++g) {
        int64_t product = 0;
        for (int64_t c = g * test.group; c < std::min(test.cols, (g + 1) * test.group); ++c) {
          product += test.codes[static_cast<size_t>(row * test.cols + c)] *
                     q[t * static_cast<size_t>(test.cols) + static_cast<size_t>(c)];
        }
        const float exact = static_cast<float>(static_cast<int32_t>(product));
        const int64_t scale = test.scope == ScaleScope::kTensor ? 0 : row * test.groups() + g;
        const float w_scale = test.scales[static_cast<size_t>(scale)];
        if (test.scope != ScaleScope::kGroup) {
          total = exact * (w_scale / q_scales[t]);
        } else if (test.scale_per_group) {
          const float term = exact * (w_scale / q_scales[t * per_token + static_cast<size_t>(g)]);
          total = g == 0 ? term : total + term;
        } else {
          total = g == 0 ? exact * w_scale : total + exact * w_scale;
        }
      }
      const bool divides = test.scope == ScaleScope::kGroup && !test.scale_per_group;
      out.push_back(divides ? total / q_scales[t] : total);
    }
  }
  return out;
}

// Tokens in one tile, every panel in one call and also each alone.
std::vector<float> multiply(const KernelTable& table, const Case& test,
                            const std::vector<int8_t>& q, const std::vector<float>& q_scales,
                            bool one_by_one) {
  const int64_t per_token = test.scale_per_group ? test.groups() : 1;
  const int64_t tokens = std::ssize(q_scales) / per_token;
  const int tile = *std::find_if(table.tiles.begin(), table.tiles.end(),
                                 [&](int places) { return places >= tokens; });
  const PanelShape shape =
      panel_shape(test.source, test.rows, test.cols, test.group, table.panel_rows);
  std::vector<uint8_t> panels(static_cast<size_t>(shape.bytes()));
  pack_panels(test.source,
              {std::span(test.stored).subspan(static_cast<size_t>(test.shift)), test.stride,
               test.rows, test.cols, test.group},
              table.panel_rows, 0, shape.panels, panels.data());
  std::vector<int8_t> places(
      static_cast<size_t>(shape.row_units() * 4 * fields_of(test.source.format) * tile), 99);
  std::vector<int32_t> sums(static_cast<size_t>(shape.groups * tile), 99);
  arrange_tile(test.source, q.data(), tokens, test.cols, test.group, tile, places.data(),
               sums.data());
  std::vector<float> scales(static_cast<size_t>(shape.panels * table.panel_rows * shape.groups),
                            NAN);
  for (int64_t row = 0; test.scope != ScaleScope::kTensor && row < test.rows; ++row) {
    for (int64_t g = 0; g < shape.groups; ++g) {
      const int64_t to =
          (row / table.panel_rows * shape.groups + g) * table.panel_rows + row % table.panel_rows;
      scales[static_cast<size_t>(to)] = test.scales[static_cast<size_t>(row * shape.groups + g)];
    }
  }
  if (test.scope == ScaleScope::kTensor) scales[0] = test.scales[0];

  const int64_t stride = test.rows + 3;
  std::vector<float> wide(static_cast<size_t>(tokens * stride), -1.0f);
  PanelCall call;
  call.groups = shape.groups;
  call.units = shape.units;
  call.last_units = shape.last_units;
  call.gain = test.source.gain;
  call.offset = test.source.offset;
  call.scope = test.scope;
  // Beside each other the scales of a group, of places that no token takes as well.
  std::vector<float> tile_scales(static_cast<size_t>(per_token * tile), 1.0f);
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t g = 0; g < per_token; ++g) {
      tile_scales[static_cast<size_t>(g * tile + t)] =
          q_scales[static_cast<size_t>(t * per_token + g)];
    }
  }
  call.tile = {tile, places.data(), sums.data(), tile_scales.data(), test.scale_per_group};
  call.tokens = static_cast<int>(tokens);
  call.out_stride = stride;
  const int64_t step = one_by_one ? 1 : shape.panels;
  for (int64_t first = 0; first < shape.panels; first += step) {
    const bool one_scale = test.scope == ScaleScope::kTensor;
    call.panels = panels.data() + first * shape.panel_bytes;
    call.panel_count = step;
    call.w_scales = scales.data() + (one_scale ? 0 : first * table.panel_rows * shape.groups);
    call.rows = test.rows - first * table.panel_rows;
    call.out = wide.data() + first * table.panel_rows;
    table.panel_dot[static_cast<size_t>(test.source.format)](call);
  }
  std::vector<float> out;
  for (int64_t t = 0; t < tokens; ++t) {
    const auto row = wide.begin() + t * stride;
    out.insert(out.end(), row, row + test.rows);
    for (int64_t i = test.rows; i < stride; ++i)
      EXPECT_EQ(row[i], -1.0f) << "written past the rows";
  }
  return out;
}

void expect_exact(const Case& test, Draw draw, int64_t tokens) {
  Rng rng(static_cast<uint64_t>(tokens));
  std::vector<int8_t> q;
  std::vector<float> q_scales;
  for (int64_t i = 0; i < tokens * test.cols; ++i) {
    q.push_back(static_cast<int8_t>(activation_of(draw, rng)));
  }
  const int64_t scales = tokens * (test.scale_per_group ? test.groups() : 1);
  for (int64_t i = 0; i < scales; ++i) q_scales.push_back(static_cast<float>(1 + rng.uniform()));
  const std::vector<float> expected = reference(test, q, q_scales);
  on_every_isa([&](const KernelTable& table) {
    if (tokens > table.tiles.back()) return;
    if (table.panel_dot[static_cast<size_t>(test.source.format)] == nullptr) return;
    for (const bool one_by_one : {false, true}) {
      const std::vector<float> actual = multiply(table, test, q, q_scales, one_by_one);
      ASSERT_EQ(std::memcmp(actual.data(), expected.data(), expected.size() * sizeof(float)), 0)
          << test.rows << " x " << test.cols << ", " << tokens << " tokens";
    }
  });
}

class EveryLayout : public testing::TestWithParam<Layout> {
 protected:
  // The nearest number of columns that the layout can hold.
  static int64_t columns(int64_t wanted) {
    const int64_t block = packing::block_codes(GetParam());
    return (wanted + block - 1) / block * block;
  }
};

TEST_P(EveryLayout, EqualsTheFormulaOnOddShapes) {
  for (const int64_t rows : {1, 3, 16, 33, 70}) {
    for (const int64_t cols : {1, 5, 19, 20, 21, 172, 576, 1000}) {
      const Case test =
          ternary_case(GetParam(), rows, columns(cols), ScaleScope::kTensor, 0, Draw::kRandom);
      for (const int64_t tokens : {1, 2, 4}) expect_exact(test, Draw::kRandom, tokens);
    }
  }
}

TEST_P(EveryLayout, EveryNumberOfTokens) {
  const Case test = ternary_case(GetParam(), 40, columns(300), ScaleScope::kRow, 0, Draw::kRandom);
  for (int64_t tokens = 1; tokens <= 12; ++tokens) expect_exact(test, Draw::kRandom, tokens);
}

TEST_P(EveryLayout, ScalesPerGroup) {
  const int64_t block = packing::block_codes(GetParam());
  for (const int64_t group : {64, 100, 128, 256}) {
    if (group % block != 0) continue;
    const Case test =
        ternary_case(GetParam(), 37, columns(700), ScaleScope::kGroup, group, Draw::kRandom);
    for (const int64_t tokens : {1, 3}) expect_exact(test, Draw::kRandom, tokens);
  }
}

TEST_P(EveryLayout, ScalesOfActivationsPerGroup) {
  const int64_t block = packing::block_codes(GetParam());
  for (const int64_t group : {43, 128, 256}) {
    if (group % block != 0) continue;
    Case test = ternary_case(GetParam(), 37, 4 * group, ScaleScope::kGroup, group, Draw::kRandom);
    test.scale_per_group = true;
    for (const int64_t tokens : {1, 3, 5}) expect_exact(test, Draw::kRandom, tokens);
  }
}

TEST_P(EveryLayout, ExtremeValuesOfLongRows) {
  for (const Draw draw :
       {Draw::kZeros, Draw::kAllPlusLowest, Draw::kAllMinusLowest, Draw::kAllPlusHighest}) {
    const Case test = ternary_case(GetParam(), 2, columns(14336), ScaleScope::kTensor, 0, draw);
    for (const int64_t tokens : {1, 4}) expect_exact(test, draw, tokens);
  }
  const Case longest =
      ternary_case(GetParam(), 1, kMaxPanelColumns, ScaleScope::kTensor, 0, Draw::kAllPlusLowest);
  expect_exact(longest, Draw::kAllPlusLowest, 1);
}

INSTANTIATE_TEST_SUITE_P(
    Panels, EveryLayout,
    testing::Values(Layout::kTq1_0, Layout::kTq2_0, Layout::kTrit5, Layout::kTrit4, Layout::kSign8,
                    Layout::kI2S, Layout::kI2S64, Layout::kQ1_0, Layout::kQ2_0, Layout::kQ2_0G128),
    [](const auto& layout) { return std::string(packing::to_string(layout.param)); });

TEST(Panels, Nibbles) {
  for (const int64_t cols : {8, 33, 37, 576, 2560}) {
    const Case test = nibble_case(50, cols);
    for (const int64_t tokens : {1, 2, 4}) {
      expect_exact(test, Draw::kRandom, tokens);
      expect_exact(test, Draw::kAllPlusLowest, tokens);
    }
  }
}

// Bytes that stand for no codes give wrong sums, the same on every ISA, and no fault.
TEST(Panels, DamagedBytesAreHarmless) {
  for (const Layout layout : {Layout::kTrit5, Layout::kTrit4, Layout::kTq1_0, Layout::kSign8}) {
    Case test = ternary_case(layout, 20, 512, ScaleScope::kTensor, 0, Draw::kRandom);
    Rng rng(3);
    for (uint8_t& byte : test.stored) byte = static_cast<uint8_t>(rng.below(256));
    const std::vector<int8_t> q(512, -128);
    on_every_isa([&](const KernelTable& table) {
      if (table.panel_dot[static_cast<size_t>(test.source.format)] == nullptr) return;
      multiply(table, test, q, {1.0f}, false);
    });
  }
}

}  // namespace
}  // namespace tercet
