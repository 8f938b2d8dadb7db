// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "learn/ptq/binary.h"
#include "learn/ptq/block_feedback.h"
#include "learn/ptq/gptq.h"
#include "learn/ptq/layer_quantizer.h"
#include "learn/ptq/shifted_ternary.h"
#include "learn/ptq/threshold.h"
#include "learn/ptq_support.h"

namespace tercet::learn {
namespace {

using packing::ScaleScope;

TEST(Gptq, EqualsThePlainColumnLoop) {
  const int64_t n = 150;  // more than a block
  const at::Tensor w = random_matrix(4, n, 60);
  const LayerTarget target{w, random_hessian(n, 61)};
  const LowBitMatrix start = twn(w, kRow);
  const LowBitMatrix m = gptq(target, start);
  // The textbook: quantize a column, subtract its error over the inverse Hessian of what is left.
  const at::Tensor order = target.h.diagonal().argsort(0, true);
  at::Tensor h = target.h.to(at::kDouble).index_select(0, order).index_select(1, order);
  at::Tensor rest = w.to(at::kDouble).index_select(1, order).clone();
  const at::Tensor scale = start.scales.to(at::kDouble);
  const at::Tensor codes = at::empty_like(rest);
  for (int64_t j = 0; j < n; ++j) {
    const at::Tensor left = at::linalg_inv(h.slice(0, j).slice(1, j));
    const at::Tensor column = rest.narrow(1, j, 1);
    const at::Tensor code = (column / scale).round().clamp(-1, 1);
    const at::Tensor error = (column - code * scale) / left[0][0];
    codes.narrow(1, j, 1).copy_(code);
    rest.slice(1, j).sub_(at::matmul(error, left.narrow(0, 0, 1)));
  }
  const at::Tensor expected = codes.index_select(1, order.argsort()).to(at::kFloat);
  EXPECT_GT(m.codes.eq(expected).to(at::kFloat).mean().item<float>(), 0.995f);
}

TEST(ShiftedTernary, FitNeverRisesAndGridIsExact) {
  const at::Tensor w = random_matrix(5, 32, 70) + 0.3;
  const at::Tensor eye = at::eye(32, at::kFloat);
  double before = 1e9;
  for (const int rounds : {1, 2, 5, 30}) {
    const double error = error_of(iterative_ternary_fit(w, rounds).values(), w, eye);
    EXPECT_LE(error, before * (1 + 1e-6));
    before = error;
  }
  const at::Tensor h = random_hessian(32, 71);
  LowBitMatrix m = iterative_ternary_fit(w);
  align_grid(m, w, h);
  const double best = error_of(m.values(), w, h);
  for (const double change : {-0.01, 0.01}) {
    LowBitMatrix other = m;
    other.scales = m.scales + change;
    EXPECT_GT(error_of(other.values(), w, h), best);
    other = m;
    other.shifts = m.shifts + change;
    EXPECT_GT(error_of(other.values(), w, h), best);
  }
  EXPECT_THROW(pt2_llm({w, h}, kTensor), Error);
}

// Row by row, in double, from the formulas of PT2-LLM.
TEST(ShiftedTernary, FitFollowsTheFormula) {
  const at::Tensor w = random_matrix(6, 24, 74) + 0.2;
  const LowBitMatrix m = iterative_ternary_fit(w, 3);
  for (int64_t row = 0; row < w.size(0); ++row) {
    const at::Tensor x = w[row].to(at::kDouble);
    const double mean = x.mean().item<double>();
    const at::Tensor centred = x - mean;
    at::Tensor t = centred.sign() * (centred.abs() > 0.75 * centred.abs().mean());
    double alpha = 0;
    double mu = 0;
    for (int round = 0; round < 3; ++round) {
      const double n = static_cast<double>(x.numel());
      const double wt = (x * t).sum().item<double>();
      const double t1 = t.sum().item<double>();
      const double w1 = x.sum().item<double>();
      const double tt = (t * t).sum().item<double>();
      alpha = (n * wt - t1 * w1) / (n * tt - t1 * t1);
      mu = (tt * w1 - t1 * wt) / (n * tt - t1 * t1);
      t = ((x - mu) / alpha).round().clamp(-1, 1);
    }
    EXPECT_NEAR(m.scales[row][0].item<double>(), alpha, 1e-5);
    EXPECT_NEAR(m.shifts[row][0].item<double>(), mu, 1e-5);
    EXPECT_TRUE(m.codes[row].to(at::kDouble).equal(t)) << row;
  }
}

TEST(ShiftedTernary, AlignedGridIsTheLeastSquaresOfOutputs) {
  const at::Tensor w = random_matrix(6, 24, 75) + 0.2;
  const at::Tensor h = random_hessian(24, 76);
  LowBitMatrix m = iterative_ternary_fit(w);
  align_grid(m, w, h);
  const at::Tensor root = at::linalg_cholesky(h.to(at::kDouble)).t();
  for (int64_t row = 0; row < w.size(0); ++row) {
    const at::Tensor grid = at::stack({m.codes[row], at::ones({24})}, 1).to(at::kDouble);
    const at::Tensor wanted = at::mv(root, w[row].to(at::kDouble)).unsqueeze(1);
    const at::Tensor found = std::get<0>(at::linalg_lstsq(at::matmul(root, grid), wanted));
    EXPECT_NEAR(m.scales[row][0].item<double>(), found[0][0].item<double>(), 1e-5);
    EXPECT_NEAR(m.shifts[row][0].item<double>(), found[1][0].item<double>(), 1e-5);
  }
}

// Similar columns together, and what a block does wrong made good by those that are left.
TEST(QuantizeBlocks, EqualsThePlainLoop) {
  const int64_t n = 26;
  const at::Tensor w = random_matrix(5, n, 77);
  const LayerTarget target{w, random_hessian(n, 78)};
  const auto fit = [](const at::Tensor& part, const at::Tensor&) {
    return iterative_ternary_fit(part);
  };
  for (const ColumnOrder order : {ColumnOrder::kNeighbours, ColumnOrder::kSimilar}) {
    const LowBitMatrix m = quantize_blocks(target, {ScaleScope::kGroup, 8}, order, fit);
    at::Tensor now = w.to(at::kDouble).clone();
    const at::Tensor h = target.h.to(at::kDouble);
    std::vector<int64_t> left;
    for (int64_t i = 0; i < n; ++i) left.push_back(i);
    for (int64_t group = 0; !left.empty(); ++group) {
      at::Tensor mean = at::zeros({5}, at::kDouble);
      for (const int64_t i : left) mean += now.select(1, i) / static_cast<double>(left.size());
      std::vector<int64_t> ordered = left;
      if (order == ColumnOrder::kSimilar) {
        const auto cosine = [&](int64_t i) {
          return (now.select(1, i).dot(mean) / now.select(1, i).norm()).item<double>();
        };
        std::stable_sort(ordered.begin(), ordered.end(),
                         [&](int64_t a, int64_t b) { return cosine(a) > cosine(b); });
      }
      ordered.resize(std::min<size_t>(ordered.size(), 8));
      const at::Tensor block = at::tensor(ordered, at::kLong);
      const at::Tensor part = now.index_select(1, block);
      const LowBitMatrix done = iterative_ternary_fit(part.to(at::kFloat));
      for (size_t k = 0; k < ordered.size(); ++k) {
        left.erase(std::find(left.begin(), left.end(), ordered[k]));
        EXPECT_EQ(m.column_group[ordered[k]].item().to<int64_t>(), group);
        EXPECT_TRUE(
            m.codes.select(1, ordered[k]).equal(done.codes.select(1, static_cast<int64_t>(k))));
      }
      EXPECT_TRUE(m.scales.select(1, group).allclose(done.scales.select(1, 0), 1e-3, 1e-5));
      if (left.empty()) break;
      const at::Tensor rest = at::tensor(left, at::kLong);
      const at::Tensor inverse = at::linalg_inv(h.index_select(0, rest).index_select(1, rest));
      const at::Tensor error = done.values().to(at::kDouble) - part;
      now.index_add_(
          1, rest,
          at::matmul(at::matmul(error, h.index_select(0, block).index_select(1, rest)), inverse),
          -1);
    }
  }
}

TEST(ShiftedTernary, FeedbackHelpsAndGroupsMayBeReordered) {
  const at::Tensor w = random_matrix(16, 60, 72);
  const LayerTarget target{w, random_hessian(60, 73)};
  const LowBitMatrix m = pt2_llm(target, {ScaleScope::kGroup, 16});
  EXPECT_TRUE(m.reordered);
  EXPECT_EQ(m.scales.size(1), 4);
  LowBitMatrix apart;
  double without = 0;
  for (int64_t first = 0; first < 60; first += 16) {
    const int64_t count = std::min<int64_t>(16, 60 - first);
    const at::Tensor part = w.narrow(1, first, count).contiguous();
    without += error_of(iterative_ternary_fit(part).values(), part,
                        target.h.narrow(0, first, count).narrow(1, first, count));
  }
  EXPECT_LT(error_of(m.values(), w, target.h), without);
}

TEST(Binary, RefinementLowersTheErrorOfPlainSigns) {
  const at::Tensor w = random_matrix(8, 40, 80) + 0.2;
  const at::Tensor h = random_hessian(40, 81);
  const at::Tensor plain = w.sign() * w.abs().mean(1, true);
  const LowBitMatrix m = alternating_binary(w, h);
  EXPECT_LT(error_of(m.values(), w, h), error_of(plain, w, h));
  EXPECT_TRUE(m.codes.abs().equal(at::ones_like(w)));
}

// Row by row, in double, from the formulas of ARB-X.
TEST(Binary, RefinementFollowsTheFormula) {
  const int64_t n = 20;
  const at::Tensor w = random_matrix(5, n, 84) + 0.1;
  const at::Tensor h = random_hessian(n, 85);
  const LowBitMatrix m = alternating_binary(w, h);
  const at::Tensor s = h.to(at::kDouble);
  const at::Tensor ones = at::ones({n}, at::kDouble);
  const auto signs = [](const at::Tensor& x) {
    return at::where(x > 0, 1.0, -1.0).to(at::kDouble);
  };
  for (int64_t row = 0; row < w.size(0); ++row) {
    const at::Tensor x = w[row].to(at::kDouble);
    double mu = x.mean().item<double>();
    at::Tensor b = signs(x - mu);
    double alpha = (x - mu).abs().mean().item<double>();
    for (int round = 0; round < 15; ++round) {
      mu = (ones.dot(at::mv(s, x - alpha * b)) / ones.dot(at::mv(s, ones))).item<double>();
      alpha = (b.dot(at::mv(s, x - mu)) / b.dot(at::mv(s, b))).item<double>();
      b = signs(x - mu);
    }
    EXPECT_NEAR(m.shifts[row][0].item<double>(), mu, 1e-4);
    EXPECT_NEAR(m.scales[row][0].item<double>(), alpha, 1e-4);
    EXPECT_TRUE(m.codes[row].to(at::kDouble).equal(b)) << row;
  }
}

TEST(Binary, ArbMakesUpForErrorsBetweenBlocks) {
  const at::Tensor w = random_matrix(16, 60, 86);
  const LayerTarget target{w, random_hessian(60, 87)};
  const LowBitMatrix m = arb(target, {ScaleScope::kGroup, 16});
  LowBitMatrix apart = arb(target, {ScaleScope::kGroup, 16});
  for (int64_t first = 0; first < 60; first += 16) {
    const int64_t count = std::min<int64_t>(16, 60 - first);
    const LowBitMatrix part =
        alternating_binary(w.narrow(1, first, count).contiguous(),
                           target.h.narrow(0, first, count).narrow(1, first, count).contiguous());
    apart.codes.narrow(1, first, count).copy_(part.codes);
    apart.scales.narrow(1, first / 16, 1).copy_(part.scales);
    apart.shifts.narrow(1, first / 16, 1).copy_(part.shifts);
  }
  EXPECT_LT(error_of(m.values(), w, target.h), error_of(apart.values(), w, target.h));
}

TEST(Binary, SvidIsTheBestRankOne) {
  const at::Tensor w = random_matrix(9, 14, 82);
  const LowBitMatrix m = svid(w);
  const at::Tensor expected_size = std::get<1>(at::linalg_svd(w.abs().to(at::kDouble)))[0];
  const at::Tensor rank_one = m.values().abs().to(at::kDouble);
  EXPECT_NEAR(rank_one.norm().item<double>(), expected_size.item<double>(), 1e-5);
  EXPECT_NEAR((rank_one * w.abs()).sum().item<double>(), std::pow(expected_size.item<double>(), 2),
              1e-3);
}

}  // namespace
}  // namespace tercet::learn
