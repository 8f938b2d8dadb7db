// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/sharded_optimizer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "formats/support.h"
#include "learn/dist/rank_support.h"

namespace tercet::learn {
namespace {

using tercet::testing::read_bytes;
using tercet::testing::TemporaryDirectory;
using testing::as_ranks;

// Values that follow from their place, so that every rank makes the same.
at::Tensor some_values(const std::vector<int64_t>& shape, double salt) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return (at::arange(count, at::kFloat) * 0.37 + salt).sin().view(shape);
}

std::vector<Parameter> make_parameters() {
  std::vector<Parameter> parameters;
  const std::vector<std::vector<int64_t>> shapes = {{509, 33}, {33}, {33, 97}, {3}, {97, 33}};
  for (size_t i = 0; i < shapes.size(); ++i) {
    parameters.push_back({"p" + std::to_string(i),
                          some_values(shapes[i], static_cast<double>(i)).set_requires_grad(true),
                          shapes[i].size() == 2});
  }
  return parameters;
}

Recipe recipe() {
  Recipe recipe;
  recipe.adam_beta2 = 0.95;
  return recipe;
}

// Two clipped steps; a rank's gradients are its part of the whole ones.
void take_steps(std::vector<Parameter>& parameters, ShardedOptimizer& optimizer, Team team) {
  for (int step = 0; step < 2; ++step) {
    optimizer.expect_gradients();
    for (Parameter& p : parameters) {
      p.value.mutable_grad() = some_values(p.value.sizes().vec(), 7.0 + step) *
                               (2.0 * static_cast<double>(team.rank() + 1) /
                                static_cast<double>(team.ranks() * (team.ranks() + 1)));
    }
    double squares = optimizer.squared_norm();
    team.sum({&squares, 1});
    optimizer.clip(std::sqrt(squares), 1.0);
    optimizer.step({0.01, 0.1});
  }
}

int64_t elements(const std::vector<Parameter>& parameters) {
  int64_t count = 0;
  for (const Parameter& p : parameters) count += p.value.numel();
  return count;
}

TEST(ShardedOptimizer, StepsAreThoseOfOneProcess) {
  std::vector<Parameter> alone = make_parameters();
  ShardedOptimizer single(alone, recipe(), Team());
  take_steps(alone, single, Team());
  EXPECT_EQ(single.state_bytes(), 8 * elements(alone));
  for (const int64_t ranks : {2, 3, 4}) {
    as_ranks(ranks, [&](ProcessGroup& group) {
      std::vector<Parameter> parameters = make_parameters();
      ShardedOptimizer optimizer(parameters, recipe(), Team(&group));
      take_steps(parameters, optimizer, Team(&group));
      for (size_t i = 0; i < parameters.size(); ++i) {
        const at::Tensor difference = parameters[i].value.detach() - alone[i].value.detach();
        EXPECT_LT(difference.abs().max().item<double>(), 1e-6) << parameters[i].name;
      }
      // Each rank keeps its share of the moments (up to sixteen elements).
      EXPECT_NEAR(static_cast<double>(optimizer.state_bytes()),
                  8.0 * static_cast<double>(elements(parameters)) / static_cast<double>(ranks),
                  8 * 16 * static_cast<double>(ranks));
    });
  }
}

TEST(ShardedOptimizer, FilesDoNotDependOnTheRanks) {
  const TemporaryDirectory directory;
  std::vector<Parameter> parameters = make_parameters();
  ShardedOptimizer single(parameters, recipe(), Team());
  take_steps(parameters, single, Team());
  single.save(directory.file("1"));
  const std::string expected = read_bytes(directory.file("1"));
  for (const int64_t ranks : {2, 3}) {
    const auto file = directory.file(std::to_string(ranks));
    as_ranks(ranks, [&](ProcessGroup& group) {
      std::vector<Parameter> same = make_parameters();
      ShardedOptimizer optimizer(same, recipe(), Team(&group));
      // Only rank 0 reads and writes.
      optimizer.load(group.is_first() ? directory.file("1") : "/nowhere");
      optimizer.save(group.is_first() ? file : "/nowhere");
    });
    EXPECT_EQ(read_bytes(file), expected);
  }
}

}  // namespace
}  // namespace tercet::learn
