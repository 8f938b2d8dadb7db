// SPDX-License-Identifier: Apache-2.0
// The synthetic ladder of methods.md 23 in small: heavy-tailed weights, inputs with a power-law
// spectrum and outlier channels, errors on held-out inputs.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "learn/ptq/layer_quantizer.h"

namespace tercet::learn {
namespace {

constexpr int64_t kRows = 48;
constexpr int64_t kCols = 256;
constexpr int64_t kOutliers = 4;

at::Tensor student_weights() {
  const at::Tensor normal = at::randn({kRows, kCols}, at::kDouble);
  const at::Tensor chi = at::randn({6, kRows, kCols}, at::kDouble).square().sum(0);
  return (normal / (chi / 6).sqrt()).to(at::kFloat);
}

// Covariance with eigenvalues i^-power behind a random rotation; returns its square root.
at::Tensor mixing(double power) {
  const at::Tensor rotation = std::get<0>(at::linalg_qr(at::randn({kCols, kCols}, at::kDouble)));
  const at::Tensor spectrum = at::arange(1, kCols + 1, at::kDouble).pow(-power / 2);
  at::Tensor root = at::matmul(rotation * spectrum, rotation.t());
  root.narrow(1, 10, kOutliers).mul_(12);
  return root;
}

at::Tensor inputs(const at::Tensor& root, int64_t per_dimension) {
  const at::Tensor noise = at::randn({per_dimension * kCols, kCols}, at::kDouble);
  return at::matmul(noise, root).to(at::kFloat);
}

class Ladder {
 public:
  Ladder(double power, int64_t per_dimension) {
    at::manual_seed(7);
    weight_ = student_weights();
    const at::Tensor root = mixing(power);
    seen_ = inputs(root, per_dimension);
    calibration_.add(seen_, {}, {}, {});
    fresh_ = inputs(root, 16);
  }

  LowBitMatrix quantized(PtqMethod method, int flips, bool hessian, double shrinkage) const {
    LayerOptions options = default_layer_options(method);
    options.grouping = {packing::ScaleScope::kGroup, 128};
    options.flip_rounds = flips;
    options.hessian = hessian;
    options.cross_term = 0;
    options.shrinkage = shrinkage;
    return quantize_layer(weight_, calibration_, {}, options, "w").matrix;
  }

  // On inputs that were not seen.
  double error(PtqMethod method, int flips = 0, bool hessian = true) const {
    return error_on(fresh_, quantized(method, flips, hessian, 0.01));
  }

  // The error on new inputs over that on seen ones, with flips.
  double overfit(double shrinkage) const {
    const LowBitMatrix matrix = quantized(PtqMethod::kPtBitnet, 20, true, shrinkage);
    return error_on(fresh_, matrix) / error_on(seen_, matrix);
  }

 private:
  double error_on(const at::Tensor& x, const LowBitMatrix& matrix) const {
    const at::Tensor wanted = at::matmul(x, weight_.t());
    const at::Tensor wrong = at::matmul(x, (weight_ - matrix.values()).t());
    return wrong.square().sum().item<double>() / wanted.square().sum().item<double>();
  }

  at::Tensor weight_, seen_, fresh_;
  Moments calibration_;
};

TEST(Ladder, HasTheOrderThatIsKnown) {
  Ladder ladder(1, 32);
  const double absmean = ladder.error(PtqMethod::kAbsmean);
  const double twn = ladder.error(PtqMethod::kTwn);
  const double by_distance = ladder.error(PtqMethod::kGrid, 0, false);
  const double by_hessian = ladder.error(PtqMethod::kGrid);
  const double gptq = ladder.error(PtqMethod::kGptq);
  const double pt2 = ladder.error(PtqMethod::kPt2Llm);
  const double flips = ladder.error(PtqMethod::kPtBitnet, 20);
  RecordProperty("ladder", fmt::format("absmean {:.3f} twn {:.3f} grid {:.3f} grid-h {:.3f} gptq "
                                       "{:.3f} pt2 {:.3f} flips {:.3f}",
                                       absmean, twn, by_distance, by_hessian, gptq, pt2, flips));
  EXPECT_GT(absmean, 0.2);
  EXPECT_LT(absmean, 0.4);
  EXPECT_LT(twn, 0.85 * absmean);
  EXPECT_NEAR(by_distance, twn, 0.1 * twn);
  EXPECT_LT(by_hessian, 0.85 * by_distance);
  EXPECT_LT(gptq, 0.85 * by_hessian);
  EXPECT_LT(pt2, by_hessian);
  EXPECT_LT(flips, gptq);
}

TEST(Ladder, FewSamplesOverfitAndShrinkageCuresIt) {
  Ladder ladder(1, 2);
  const double little = ladder.overfit(0.01);
  const double much = ladder.overfit(2);
  EXPECT_GT(little, 1.5);
  EXPECT_LT(much, 0.8 * little);
}

}  // namespace
}  // namespace tercet::learn
