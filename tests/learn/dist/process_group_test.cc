// SPDX-License-Identifier: Apache-2.0
#include "learn/dist/process_group.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <array>
#include <mutex>

#include "learn/dist/meeting_store.h"
#include "learn/dist/rank_support.h"
#include "learn/dist/sharded_parameters.h"
#include "learn/dist/team.h"

namespace tercet::learn {
namespace {

using testing::as_ranks;

TEST(ProcessGroup, CollectivesCompute) {
  as_ranks(3, [](ProcessGroup& group) {
    const double mine = static_cast<double>(group.rank() + 1);
    std::array<double, 2> values{mine, 0.125};
    group.sum(values);
    EXPECT_EQ(values[0], 6);
    EXPECT_EQ(values[1], 0.375);
    EXPECT_EQ(group.share(group.is_first() ? "from 0" : "mine"), "from 0");
    for (int64_t root = 0; root < 3; ++root) {
      const at::Tensor summed = at::full({1001}, mine);
      group.reduce(summed, root).wait();
      EXPECT_TRUE(group.rank() != root || summed.eq(6).all().item<bool>());
      const at::Tensor sent = at::full({7}, mine);
      group.broadcast(sent, root).wait();
      EXPECT_TRUE(sent.eq(static_cast<double>(root + 1)).all().item<bool>());
    }
    group.barrier();
  });
}

TEST(ProcessGroup, AnErrorOfOneRankIsKnownToAll) {
  as_ranks(3, [](ProcessGroup& group) {
    const Team team(&group);
    EXPECT_FALSE(team.first_error(std::nullopt));
    std::optional<Error> mine;
    if (group.rank() > 0) mine = Error(ErrorCode::kIo, fmt::format("of {}", group.rank()));
    const auto first = team.first_error(mine);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->code(), ErrorCode::kIo);
    EXPECT_STREQ(first->what(), "of 1");
    group.barrier();
  });
}

// A rank that computes for minutes is no reason to give up.
TEST(ProcessGroup, TheStoreWaitsLongerThanLibtorchWould) {
  EXPECT_GT(MeetingStore::kPatience, c10d::Store::kDefaultTimeout * 100);
}

TEST(ProcessGroup, SumsTensorsOfAnySizeToTheSameBits) {
  as_ranks(3, [](ProcessGroup& group) {
    for (const int64_t elements : {1, 2, 3, 1000, 40001}) {
      for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
        const at::Tensor base = at::arange(1, elements + 1, type).sqrt();
        at::Tensor expected = base;
        for (int64_t rank = 1; rank < 3; ++rank) {
          expected = expected + base / static_cast<double>(rank + 1);
        }
        const at::Tensor sum = base / static_cast<double>(group.rank() + 1);
        group.sum(sum);
        EXPECT_TRUE(sum.equal(expected)) << elements;
      }
    }
    group.sum(at::empty({0}, at::kFloat));
  });
}

TEST(ProcessGroup, DisagreementIsNamed) {
  as_ranks(2, [](ProcessGroup& group) {
    group.check_agreement({{"version", "1"}, {"data", "abc"}});
    const ProcessGroup::NamedValues values = {{"version", "1"},
                                              {"learning_rate", group.is_first() ? "0.1" : "0.2"}};
    if (group.is_first()) {
      EXPECT_THROW(group.check_agreement(values), Error);  // rank 1 ends the run
      return;
    }
    try {
      group.check_agreement(values);
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("learning_rate is 0.2 on rank 1 and 0.1 on rank 0"),
                std::string::npos)
          << error.what();
      group.abandon(error.code(), error.what());
    }
  });
}

// A net of odd sizes whose first parameter is used twice, like a tied embedding.
struct Net {
  Net() {
    static std::mutex one_at_a_time;  // ranks are threads here, and the generator is one
    const std::lock_guard lock(one_at_a_time);
    at::manual_seed(7);
    for (const std::vector<int64_t>& shape :
         std::vector<std::vector<int64_t>>{{37, 11}, {11}, {11, 53}, {53, 11}, {3}}) {
      parameters.push_back(at::randn(shape).set_requires_grad(true));
    }
  }
  // The loss of one example.
  at::Tensor loss(int64_t example) const {
    at::Tensor x = parameters[0][example % 37] * parameters[1];
    x = at::tanh(at::matmul(x, parameters[2]));
    x = at::matmul(x, parameters[3]) + parameters[4].sum();
    return at::log_softmax(at::matmul(parameters[0], x), 0)[(example + 5) % 37].neg();
  }
  std::vector<at::Tensor> parameters;
};

// The gradients over examples [0, 12) as one process computes them.
std::vector<at::Tensor> expected_gradients() {
  const Net net;
  for (int64_t i = 0; i < 12; ++i) torch::autograd::backward({net.loss(i)}, {});
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& p : net.parameters) gradients.push_back(p.grad().clone());
  return gradients;
}

void check_gradients(ProcessGroup& group, int64_t largest_bucket) {
  const std::vector<at::Tensor> expected = expected_gradients();
  const Net net;
  ShardedParameters sharded(net.parameters, group, largest_bucket);
  const int64_t share = 12 / group.ranks();
  for (int step = 0; step < 2; ++step) {
    for (int64_t i = 0; i < share; ++i) {
      if (i + 1 == share) sharded.expect_gradients();
      torch::autograd::backward({net.loss(group.rank() * share + i)}, {});
      EXPECT_EQ(sharded.sent() > 0, i + 1 == share);
    }
    EXPECT_EQ(sharded.sent(), sharded.buckets().size());
    const std::vector<at::Tensor> gradients = sharded.take_gradients();
    ASSERT_EQ(gradients.size(), sharded.own().size());
    for (size_t i = 0; i < gradients.size(); ++i) {
      const Piece& piece = sharded.own()[i];
      const at::Tensor part =
          expected[piece.parameter].flatten().narrow(0, piece.begin, piece.size());
      EXPECT_TRUE(at::allclose(gradients[i], part, 1e-5, 1e-6)) << piece.parameter;
    }
    for (const at::Tensor& p : net.parameters) EXPECT_FALSE(p.grad().defined());
  }
}

TEST(ShardedParameters, GradientsAreThoseOfOneProcess) {
  for (const int64_t ranks : {2, 3, 4}) {
    for (const int64_t bucket : {int64_t{100}, ShardedParameters::kLargestBucket}) {
      as_ranks(ranks, [&](ProcessGroup& group) { check_gradients(group, bucket); });
    }
  }
}

TEST(ShardedParameters, ValuesComeFromTheirOwners) {
  as_ranks(3, [](ProcessGroup& group) {
    const Net net;
    ShardedParameters sharded(net.parameters, group, 64);
    std::vector<int64_t> versions;
    for (const at::Tensor& p : net.parameters) versions.push_back(p._version());
    for (const at::Tensor& p : net.parameters) p.detach().fill_(-1);
    for (const Piece& piece : sharded.own()) {
      sharded.values(piece).fill_(static_cast<double>(group.rank()));
    }
    sharded.share_values();
    for (const Bucket& bucket : sharded.buckets()) {
      for (const Piece& piece : bucket.pieces) {
        const at::Tensor values = sharded.values(piece);
        EXPECT_TRUE(values.eq(static_cast<double>(bucket.owner)).all().item<bool>());
      }
    }
    // What depends on the values must see that they have changed.
    for (size_t i = 0; i < versions.size(); ++i) {
      EXPECT_GT(net.parameters[i]._version(), versions[i]);
    }
    for (const at::Tensor& p : net.parameters) {
      p.detach().fill_(static_cast<double>(group.rank()));
    }
    sharded.share_values(1);
    for (const at::Tensor& p : net.parameters) EXPECT_TRUE(p.eq(1).all().item<bool>());
  });
}

}  // namespace
}  // namespace tercet::learn
