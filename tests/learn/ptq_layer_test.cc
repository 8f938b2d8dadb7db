// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "learn/ptq/binary.h"
#include "learn/ptq/flips.h"
#include "learn/ptq/gptq.h"
#include "learn/ptq/layer_quantizer.h"
#include "learn/ptq/scale_fit.h"
#include "learn/ptq/shifted_ternary.h"
#include "learn/ptq/threshold.h"
#include "learn/ptq_support.h"

namespace tercet::learn {
namespace {

using packing::ScaleScope;

// The lowest error of one row over all 3^n codes, each with its best scale.
double brute_force(const at::Tensor& row, const at::Tensor& h) {
  const int64_t n = row.size(1);
  int64_t count = 1;
  for (int64_t i = 0; i < n; ++i) count *= 3;
  double best = error_of(at::zeros_like(row), row, h);
  for (int64_t code = 0; code < count; ++code) {
    at::Tensor t = at::zeros({1, n}, at::kFloat);
    int64_t rest = code;
    for (int64_t i = 0; i < n; ++i, rest /= 3) t[0][i] = static_cast<double>(rest % 3 - 1);
    const double norm = (at::matmul(t, h) * t).sum().item<double>();
    if (norm == 0) continue;
    const double scale = (at::matmul(t, h) * row).sum().item<double>() / norm;
    best = std::min(best, error_of(t * scale, row, h));
  }
  return best;
}

TEST(Grouping, ReadsAndCounts) {
  EXPECT_EQ(parse_grouping("row"), kRow);
  EXPECT_EQ(parse_grouping("tensor"), kTensor);
  EXPECT_EQ(parse_grouping("128").size, 128);
  EXPECT_EQ(to_string(parse_grouping("64")), "64");
  EXPECT_EQ(kGroup5.groups(12), 3);
  EXPECT_EQ(kRow.groups(12), 1);
  for (const char* bad : {"", "7", "-8", "64x", "rows"}) EXPECT_THROW(parse_grouping(bad), Error);
}

TEST(LowBitMatrix, CountsEveryBit) {
  LowBitMatrix m = absmean(random_matrix(4, 12, 1), kGroup5);
  // 12 codes in 3 bytes, three scales of 16 bits, per row.
  EXPECT_DOUBLE_EQ(m.bits_per_weight(), (24.0 + 48.0) / 12.0);
  // In groups of 8 and 4: 2 bytes and 1.
  m = absmean(random_matrix(4, 12, 1), {ScaleScope::kGroup, 8});
  EXPECT_DOUBLE_EQ(m.bits_per_weight(), (24.0 + 32.0) / 12.0);
  m = absmean(random_matrix(4, 11, 1), {ScaleScope::kGroup, 6});
  EXPECT_DOUBLE_EQ(m.bits_per_weight(), (8 * (2 + 1) + 32.0) / 11.0);
  m = absmean(random_matrix(4, 12, 1), kTensor);
  EXPECT_DOUBLE_EQ(m.bits_per_weight(), (4 * 24.0 + 16.0) / 48.0);
  m = svid(random_matrix(4, 12, 1));
  EXPECT_DOUBLE_EQ(m.bits_per_weight(), (4 * 12.0 + 16.0 * (4 + 12)) / 48.0);
}

TEST(Absmean, IsTheFormula) {
  const at::Tensor w = random_matrix(3, 12, 2);
  for (const Grouping& grouping : {kTensor, kRow, kGroup5}) {
    const LowBitMatrix m = absmean(w, grouping);
    const at::Tensor expected = at::empty_like(w);
    for (int64_t r = 0; r < 3; ++r) {
      for (int64_t c = 0; c < 12; ++c) {
        const int64_t step = grouping.columns(12);
        const int64_t first = c / step * step;
        at::Tensor part = w[r].slice(0, first, std::min<int64_t>(first + step, 12));
        if (grouping == kTensor) part = w;
        const float scale = part.abs().mean().item<float>();
        const float code = std::clamp(std::nearbyint(w[r][c].item<float>() / scale), -1.0f, 1.0f);
        expected[r][c] = code * scale;
      }
    }
    EXPECT_LT((m.values() - expected).abs().max().item<float>(), 1e-6f);
  }
}

TEST(Twn, HasThresholdAndLeastSquaresScale) {
  const at::Tensor w = random_matrix(5, 33, 3);
  const LowBitMatrix m = twn(w, kRow);
  for (int64_t r = 0; r < 5; ++r) {
    const float threshold = 0.75f * w[r].abs().mean().item<float>();
    const at::Tensor above = w[r].abs() > threshold;
    EXPECT_TRUE(m.codes[r].abs().equal(above.to(at::kFloat)));
    EXPECT_NEAR(m.scales[r][0].item<float>(), w[r].abs().masked_select(above).mean().item<float>(),
                1e-5f);
  }
}

TEST(ThresholdGrid, FindsTheBestOfAllThresholds) {
  const at::Tensor w = random_matrix(6, 40, 4);
  const LowBitMatrix m = threshold_grid(w, kRow, 200);
  const at::Tensor eye = at::eye(40, at::kFloat);
  for (int64_t r = 0; r < 6; ++r) {
    const at::Tensor row = w.narrow(0, r, 1);
    const at::Tensor sorted = std::get<0>(row.abs().sort(1, true)).squeeze(0);
    double best = 1e9;
    for (int64_t k = 1; k <= 40; ++k) {
      const at::Tensor t = row.sign() * (row.abs() >= sorted[k - 1]);
      const double scale = (t * row).sum().item<double>() / static_cast<double>(k);
      best = std::min(best, error_of(t * scale, row, eye));
    }
    EXPECT_NEAR(error_of(m.values().narrow(0, r, 1), row, eye), best, 0.01 * best);
  }
}

TEST(ThresholdGrid, TheHessianLowersTheErrorThatItMeasures) {
  const at::Tensor w = random_matrix(16, 48, 5);
  const LayerTarget target{w, random_hessian(48, 6)};
  for (const Grouping& grouping : {kTensor, kRow, Grouping{ScaleScope::kGroup, 16}}) {
    LowBitMatrix plain = threshold_grid(w, grouping, 20);
    LowBitMatrix weighted = threshold_grid(target, grouping, 20);
    fit_scales(weighted, target);
    EXPECT_LT(relative_error(weighted.values(), target), relative_error(plain.values(), target));
  }
}

TEST(FitScales, NoOtherScalesAreBetter) {
  const at::Tensor w = random_matrix(4, 24, 7);
  const LayerTarget target{w, random_hessian(24, 8)};
  for (const Grouping& grouping : {kTensor, kRow, Grouping{ScaleScope::kGroup, 9}}) {
    LowBitMatrix m = twn(w, grouping);
    fit_scales(m, target);
    const double best = error_of(m.values(), w, target.h);
    for (const double factor : {0.99, 1.01}) {
      for (int64_t g = 0; g < m.scales.size(1); ++g) {
        LowBitMatrix other = m;
        other.scales = m.scales.clone();
        other.scales.narrow(1, g, 1).mul_(factor);
        EXPECT_GT(error_of(other.values(), w, target.h), best);
      }
    }
  }
}

TEST(FitScales, AGroupWithoutCodesGetsNothingAndNegativeScalesTurnTheCodes) {
  LowBitMatrix m = twn(random_matrix(2, 10, 9), kGroup5);
  const LayerTarget target{random_matrix(2, 10, 10), random_hessian(10, 11)};
  m.codes.narrow(1, 0, 5).zero_();
  m.codes.narrow(1, 5, 5).copy_(-target.weight.narrow(1, 5, 5).sign());
  fit_scales(m, target);
  EXPECT_EQ(m.scales.narrow(1, 0, 1).abs().max().item<float>(), 0);
  EXPECT_GT(m.scales.narrow(1, 1, 1).min().item<float>(), 0);
}

TEST(Flips, ComeNearTheBestOfAllCodes) {
  double sum = 0;
  double least = 0;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const at::Tensor w = random_matrix(1, 7, 20 + seed);
    const LayerTarget target{w, random_hessian(7, 40 + seed)};
    LowBitMatrix m = threshold_grid(target, kRow, 20);
    const double before = error_of(m.values(), w, target.h);
    flip_codes(m, target, 20);
    const double after = error_of(m.values(), w, target.h);
    const double best = brute_force(w, target.h);
    EXPECT_LE(after, before * (1 + 1e-5));
    EXPECT_GE(after, best * (1 - 1e-4));
    sum += after;
    least += best;
  }
  EXPECT_LT(sum, 1.25 * least);
}

TEST(Flips, AreAtARestThatNoSingleFlipImproves) {
  const at::Tensor w = random_matrix(3, 11, 50);
  const LayerTarget target{w, random_hessian(11, 51)};
  LowBitMatrix m = threshold_grid(target, kRow, 20);
  for (int i = 0; i < 20; ++i) flip_codes(m, target, 5);
  const at::Tensor values = m.values();
  const double best = error_of(values, w, target.h);
  for (int64_t r = 0; r < 3; ++r) {
    for (int64_t c = 0; c < 11; ++c) {
      for (const double code : {-1.0, 0.0, 1.0}) {
        const at::Tensor other = values.clone();
        other[r][c] = code * m.scales[r][0].item<double>();
        EXPECT_GE(error_of(other, w, target.h), best * (1 - 1e-5));
      }
    }
  }
}

TEST(QuantizeLayer, SingularMomentsAreNamedByEveryMethod) {
  const at::Tensor w = random_matrix(4, 40, 79);
  at::Tensor h = random_hessian(40, 83);
  h.diagonal().sub_(5);  // as rounding can leave it, only worse
  const LayerTarget target{w, h, "the.map"};
  const Grouping groups{ScaleScope::kGroup, 8};
  const std::vector<std::function<void()>> methods = {
      [&] { gptq(target, twn(w, kRow)); },
      [&] { pt2_llm(target, groups); },
      [&] { arb(target, groups); },
  };
  for (size_t i = 0; i < methods.size(); ++i) {
    try {
      methods[i]();
      ADD_FAILURE() << i << " took moments that cannot be inverted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput) << i;
      EXPECT_NE(std::string(error.what()).find("the.map"), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("--shrinkage"), std::string::npos);
    }
  }
}

TEST(LayerTarget, IsWhatMinimisesTheOutputError) {
  const int64_t n = 6;
  const at::Tensor w = random_matrix(3, n, 90);
  const at::Tensor x_f = random_matrix(64, n, 91);
  const at::Tensor x_q = x_f + 0.3 * random_matrix(64, n, 92);
  const at::Tensor r_f = random_matrix(64, 3, 93);
  const at::Tensor r_q = r_f + 0.2 * random_matrix(64, 3, 94);
  Moments moments;
  moments.add(x_q.narrow(0, 0, 40), x_f.narrow(0, 0, 40), r_f.narrow(0, 0, 40),
              r_q.narrow(0, 0, 40));
  moments.add(x_q.narrow(0, 40, 24), x_f.narrow(0, 40, 24), r_f.narrow(0, 40, 24),
              r_q.narrow(0, 40, 24));
  const auto loss = [&](const at::Tensor& values) {
    const at::Tensor wanted = at::matmul(x_f, w.t()) + r_f - r_q;
    return (wanted - at::matmul(x_q, values.t())).pow(2).sum(at::kDouble).item<double>();
  };
  const LayerTarget target = layer_target(w, moments, 0, 1, "w");
  const double best = loss(target.weight);
  for (uint64_t seed = 0; seed < 5; ++seed) {
    EXPECT_GT(loss(target.weight + 0.01 * random_matrix(3, n, 95 + seed)), best);
  }
  // The objective is the loss per token less a constant.
  const at::Tensor other = random_matrix(3, n, 99);
  const double expected = (loss(other) - loss(w)) / 64;
  const double found = output_objective(other, w, moments, 1) - output_objective(w, w, moments, 1);
  EXPECT_NEAR(found, expected, 1e-4 * std::abs(expected));
  // Half of the correction, and none.
  EXPECT_TRUE(at::allclose(layer_target(w, moments, 0, 0.5, "w").weight, 0.5 * (w + target.weight),
                           1e-4, 1e-5));
  EXPECT_TRUE(layer_target(w, moments, 0, 0, "w").weight.equal(w));
}

// Streams that are long and differ by little: the difference is what is rounded, not they.
TEST(Moments, InBf16AreNearThoseInF32) {
  const at::Tensor x_q = random_matrix(200, 12, 110);
  const at::Tensor x_f = x_q + 0.3 * random_matrix(200, 12, 111);
  const at::Tensor r_q = 1000 * random_matrix(200, 5, 112);
  const at::Tensor r_f = r_q + random_matrix(200, 5, 113) + x_q.narrow(1, 0, 5);
  Moments exact;
  Moments rounded;
  for (int64_t first = 0; first < 200; first += 50) {
    const auto part = [&](const at::Tensor& x) { return x.narrow(0, first, 50); };
    exact.add(part(x_q), part(x_f), part(r_f), part(r_q));
    rounded.add(part(x_q), part(x_f), part(r_f), part(r_q), at::kBFloat16);
  }
  EXPECT_EQ(rounded.tokens, 200);
  for (const auto& [one, other] : {std::pair{exact.qq, rounded.qq},
                                   {exact.fq, rounded.fq},
                                   {exact.residual, rounded.residual}}) {
    EXPECT_EQ(other.scalar_type(), at::kDouble);
    EXPECT_LT((one - other).norm().item<double>(), 0.005 * one.norm().item<double>());
    EXPECT_FALSE(one.equal(other));
  }
}

TEST(TokenWeights, ResidualOnesMakeErrorsRelative) {
  const at::Tensor r = at::tensor({3.0f, -3.0f, 300.0f, 0.0f, 0.0f, 0.0f}).reshape({3, 2});
  const at::Tensor weights = token_weights(TokenWeights::kResidual, r);
  EXPECT_FLOAT_EQ(weights[0][0].item<float>(), 1.0f / 9);
  EXPECT_FLOAT_EQ(weights[1][0].item<float>(), 1.0f / 45000);
  EXPECT_TRUE(weights.isfinite().all().item<bool>());
  EXPECT_TRUE(token_weights(TokenWeights::kEqual, r).equal(at::ones({3, 1})));
  for (const char* name : {"equal", "residual"}) {
    EXPECT_STREQ(to_string(parse_token_weights(name)), name);
  }
  EXPECT_THROW(parse_token_weights("first"), Error);
}

TEST(LayerTarget, SilentChannelsAreKeptAndSilenceIsRefused) {
  at::Tensor x = random_matrix(32, 5, 100);
  x.narrow(1, 2, 1).zero_();
  Moments moments;
  moments.add(x, x, {}, {});
  const at::Tensor w = random_matrix(2, 5, 101);
  const LayerTarget target = layer_target(w, moments, 0.1, 0.5, "w");
  EXPECT_TRUE(at::allclose(target.weight, w, 1e-3, 1e-4));
  Moments silent;
  silent.add(at::zeros({4, 5}), {}, {}, {});
  EXPECT_THROW(layer_target(w, silent, 0.1, 0, "w"), Error);
}

TEST(QuantizeLayer, RefusesWeightsThatAreNotFinite) {
  at::Tensor w = random_matrix(2, 8, 110);
  w[1][3] = std::nan("");
  EXPECT_THROW(quantize_layer(w, {}, {}, default_layer_options(PtqMethod::kTwn), "w"), Error);
}

TEST(QuantizeLayer, NamesOfMethodsAreReadBack) {
  for (const char* name :
       {"absmean", "twn", "grid", "gptq", "pt2-llm", "arb", "svid", "pt-bitnet"}) {
    EXPECT_STREQ(to_string(parse_ptq_method(name)), name);
  }
  EXPECT_THROW(parse_ptq_method("rtn"), Error);
}

}  // namespace
}  // namespace tercet::learn
