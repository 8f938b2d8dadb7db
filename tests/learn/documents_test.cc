// SPDX-License-Identifier: Apache-2.0
// Attention within documents against a mask over the whole square, and against the documents one by
// one.
#include "learn/nn/documents.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <numeric>
#include <set>
#include <utility>
#include <vector>

#include "learn/nn/causal_attention.h"
#include "learn/nn/ops.h"
#include "learn/nn/reference_ops.h"
#include "learn/nn/span_layout.h"
#include "learn/nn/transformer.h"

namespace tercet::learn {
namespace {

constexpr int64_t kEos = 2;

// Sequences in which documents end after the given numbers of tokens; the rest of the last one is
// open. Ids are from 3 on.
at::Tensor sequences(int64_t length, const std::vector<std::vector<int64_t>>& documents) {
  const auto batch = static_cast<int64_t>(documents.size());
  const at::Tensor tokens = at::randint(3, 50, {batch, length}, at::kLong);
  for (int64_t b = 0; b < batch; ++b) {
    int64_t end = 0;
    for (const int64_t count : documents[static_cast<size_t>(b)]) {
      end += count;
      tokens[b][end - 1] = kEos;
    }
  }
  return tokens;
}

double relative_error(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).norm() / (b.norm() + 1e-20)).item<double>();
}

TEST(Documents, AreFoundByTheirEnds) {
  const at::Tensor tokens = sequences(6, {{1, 3}, {}, {2, 4}});
  const auto documents = find_documents(tokens, kEos, at::kCPU);
  const std::vector<std::pair<int64_t, int64_t>> expected = {{0, 1}, {1, 3},  {4, 2},
                                                             {6, 6}, {12, 2}, {14, 4}};
  ASSERT_EQ(documents->spans.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(documents->spans[i].begin, expected[i].first);
    EXPECT_EQ(documents->spans[i].length, expected[i].second);
  }
  EXPECT_EQ(documents->targets, 18 - 4);
  EXPECT_TRUE(at::equal(documents->ends, tokens.eq(kEos)));
  EXPECT_TRUE(at::equal(
      documents->position,
      at::tensor({0, 0, 1, 2, 0, 1, 0, 1, 2, 3, 4, 5, 0, 1, 0, 1, 2, 3}, at::kLong).view({3, 6})));
  EXPECT_TRUE(at::equal(
      documents->index,
      at::tensor({0, 1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 3, 4, 4, 5, 5, 5, 5}, at::kLong).view({3, 6})));
}

TEST(Documents, GroupsHoldEverySpanWithLittlePadding) {
  constexpr int64_t kLongest = 2048;
  std::vector<Span> spans;
  int64_t rows = 0;
  for (int64_t length = 1; length <= kLongest; ++length) {
    spans.push_back({rows, length});
    rows += length;
  }
  const SpanLayout layout = document_layout(spans, rows / kLongest, kLongest);
  std::set<std::pair<int64_t, int64_t>> shapes;
  int64_t next_row = 0;
  int64_t next_probability = 0;
  std::vector<bool> seen(spans.size());
  for (const SpanGroup& group : layout.groups) {
    shapes.insert({group.length, group.count()});
    EXPECT_LE(group.length, kLongest);
    EXPECT_EQ(std::exchange(next_row, next_row + group.count() * group.length), group.first_row);
    EXPECT_EQ(group.first_probability, next_probability);
    next_probability += group.count() * causal_probabilities(group.length);
    for (const Span& span : group.spans) {
      EXPECT_LE(span.length, group.length);
      EXPECT_LT(group.length - span.length, std::max<int64_t>(16, span.length / 16 + 1));
      EXPECT_EQ(span.begin, spans[static_cast<size_t>(span.length - 1)].begin);
      seen[static_cast<size_t>(span.length - 1)] = true;
    }
  }
  EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](bool value) { return value; }));
  EXPECT_GE(layout.rows, next_row);
  EXPECT_GE(layout.probabilities, next_probability);
  EXPECT_LE(shapes.size(), 70u);
}

TEST(Documents, ShortOnesAreTakenTogetherInPowersOfTwo) {
  std::vector<Span> spans;
  for (int64_t i = 0; i < 13; ++i) spans.push_back({i * 40, 33 + i % 8});
  std::vector<int64_t> counts;
  for (const SpanGroup& group : document_layout(spans, 1, 520).groups) {
    EXPECT_EQ(group.length, 48);
    counts.push_back(group.count());
  }
  EXPECT_EQ(counts, (std::vector<int64_t>{8, 4, 1}));
}

TEST(Documents, LayoutsAreOfOneSize) {
  const SpanLayout halves = document_layout({{0, 50}, {50, 50}, {100, 100}}, 2, 100);
  const SpanLayout odd = document_layout({{0, 97}, {97, 3}, {100, 33}, {133, 67}}, 2, 100);
  EXPECT_EQ(halves.rows, odd.rows);
  EXPECT_EQ(halves.probabilities, odd.probabilities);
  EXPECT_EQ(halves.probabilities, sequence_layout(2, 100).probabilities);
  // Unless there is nothing but padding.
  std::vector<Span> tiny;
  for (int64_t row = 0; row < 200; ++row) tiny.push_back({row, 1});
  EXPECT_GE(document_layout(tiny, 2, 100).rows, 200 * 16);
}

struct Case {
  at::ScalarType compute;
  double tolerance;
};
const Case kCases[] = {{at::kFloat, 3e-6}, {at::kBFloat16, 2e-2}};

// Three sequences: short and long documents, one that fills its sequence, one after another EOS.
constexpr int64_t kLength = 350;
at::Tensor packed() { return sequences(kLength, {{3, 40, 1, 1, 17, 80, 3}, {350}, {300, 2}}); }

using Attention = at::Tensor (*)(const at::Tensor&, const RotaryTable&, const AttentionShape&,
                                 at::ScalarType);

// Output, and gradient of the projections under fixed random weights of the output.
std::pair<at::Tensor, at::Tensor> run(Attention op, const at::Tensor& projections,
                                      const RotaryTable& rotary, const AttentionShape& shape,
                                      at::ScalarType compute, const at::Tensor& weights) {
  const at::Tensor input = projections.clone().set_requires_grad(true);
  const at::Tensor y = op(input, rotary, shape, compute);
  torch::autograd::backward({(y * weights).sum()}, {});
  return {y.detach(), input.grad()};
}

TEST(Documents, AttentionEqualsAMaskOverTheSquare) {
  const RotaryTable rotary = rotary_table(kLength, 16, 10000.0, at::kCPU);
  const auto documents = find_documents(packed(), kEos, at::kCPU);
  for (const Case& c : kCases) {
    for (const int64_t kv_heads : {1, 2, 4}) {
      const AttentionShape shape{3, kLength, 4, kv_heads, 16, documents};
      const at::Tensor x = at::randn({3 * kLength, (4 + 2 * kv_heads) * 16});
      const at::Tensor weights = at::randn({3 * kLength, 64});
      const auto [y, dx] = run(attention, x, rotary, shape, c.compute, weights);
      const auto [expected, dexpected] =
          run(reference::attention, x, rotary, shape, c.compute, weights);
      EXPECT_LT(relative_error(y, expected), c.tolerance);
      EXPECT_LT(relative_error(dx, dexpected), c.tolerance);
    }
  }
}

TEST(Documents, AttentionEqualsThatOfEachDocumentAlone) {
  const RotaryTable rotary = rotary_table(kLength, 16, 10000.0, at::kCPU);
  const auto documents = find_documents(packed(), kEos, at::kCPU);
  const at::Tensor x = at::randn({3 * kLength, 8 * 16});
  const at::Tensor weights = at::randn({3 * kLength, 64});
  for (const Case& c : kCases) {
    const AttentionShape shape{3, kLength, 4, 2, 16, documents};
    const auto [y, dx] = run(attention, x, rotary, shape, c.compute, weights);
    for (const Span& span : documents->spans) {
      const AttentionShape alone{1, span.length, 4, 2, 16};
      const auto rows = [&](const at::Tensor& t) { return t.narrow(0, span.begin, span.length); };
      const auto [expected, dexpected] =
          run(attention, rows(x), rotary, alone, c.compute, rows(weights));
      EXPECT_LT(relative_error(rows(y), expected), c.tolerance) << span.begin;
      EXPECT_LT(relative_error(rows(dx), dexpected), c.tolerance) << span.begin;
    }
  }
}

TEST(Documents, NothingOfAnotherDocumentIsSeen) {
  const RotaryTable rotary = rotary_table(kLength, 16, 10000.0, at::kCPU);
  const auto documents = find_documents(packed(), kEos, at::kCPU);
  const AttentionShape shape{3, kLength, 4, 2, 16, documents};
  const at::Tensor x = at::randn({3 * kLength, 8 * 16});
  at::Tensor changed = x.clone();
  changed.narrow(0, 3, 40).mul_(-2.0);  // the second document
  const at::Tensor a = attention(x, rotary, shape, at::kFloat);
  const at::Tensor b = attention(changed, rotary, shape, at::kFloat);
  EXPECT_TRUE(at::equal(a.narrow(0, 0, 3), b.narrow(0, 0, 3)));
  EXPECT_TRUE(at::equal(a.narrow(0, 43, 3 * kLength - 43), b.narrow(0, 43, 3 * kLength - 43)));
  EXPECT_FALSE(at::equal(a.narrow(0, 3, 40), b.narrow(0, 3, 40)));
}

TEST(Documents, SequencesWithoutAnEndAreTheSameBitsAsBefore) {
  const RotaryTable rotary = rotary_table(33, 16, 10000.0, at::kCPU);
  const at::Tensor tokens = sequences(33, {{}, {33}});
  const AttentionShape across{2, 33, 4, 2, 16};
  const AttentionShape within{2, 33, 4, 2, 16, find_documents(tokens, kEos, at::kCPU)};
  const at::Tensor x = at::randn({2 * 33, 8 * 16});
  for (const Case& c : kCases) {
    EXPECT_TRUE(at::equal(attention(x, rotary, across, c.compute),
                          attention(x, rotary, within, c.compute)));
  }
}

ModelConfig small_model(LinearKind linear) {
  ModelConfig config;
  config.vocab_size = 50;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.num_key_value_heads = 1;
  config.head_dim = 16;
  config.max_position_embeddings = kLength;
  config.linear = linear;
  config.norm = linear == LinearKind::kDense ? NormPlacement::kPre : NormPlacement::kSub;
  config.bos_token_id = 1;
  config.eos_token_ids = {kEos};
  return config;
}

std::vector<at::Tensor> take_gradients(Transformer& model) {
  std::vector<at::Tensor> gradients;
  for (Parameter& p : model.parameters()) {
    gradients.push_back(p.value.grad().clone());
    p.value.mutable_grad().zero_();
  }
  return gradients;
}

// The loss of a packed batch is the mean over all targets of its documents, each run alone; the
// token after an EOS is no target.
TEST(Documents, LossAndGradientsEqualThoseOfTheDocumentsOneByOne) {
  for (const LinearKind linear : {LinearKind::kDense, LinearKind::kB158}) {
    Transformer model(small_model(linear), 7, at::kCPU);
    const at::Tensor windows = at::cat({packed(), at::randint(3, 50, {3, 1}, at::kLong)}, 1);
    const auto documents = find_documents(windows.narrow(1, 0, kLength), kEos, at::kCPU);
    const at::Tensor loss = model.loss(windows, at::kFloat, documents);
    torch::autograd::backward({loss}, {});
    const std::vector<at::Tensor> gradients = take_gradients(model);

    at::Tensor sum = at::zeros({});
    int64_t targets = 0;
    for (const Span& span : documents->spans) {
      const int64_t sequence = span.begin / kLength;
      const int64_t begin = span.begin % kLength;
      const bool ended = windows[sequence][begin + span.length - 1].item<int64_t>() == kEos;
      const int64_t inputs = span.length - (ended ? 1 : 0);
      if (inputs == 0) continue;
      const at::Tensor alone = windows.narrow(0, sequence, 1).narrow(1, begin, inputs + 1);
      sum = sum + model.loss(alone, at::kFloat) * inputs;
      targets += inputs;
    }
    EXPECT_EQ(targets, documents->targets);
    const at::Tensor expected = sum / targets;
    EXPECT_NEAR(loss.item<double>(), expected.item<double>(), 1e-5);
    torch::autograd::backward({expected}, {});
    const std::vector<at::Tensor> dexpected = take_gradients(model);
    for (size_t i = 0; i < gradients.size(); ++i) {
      EXPECT_LT(relative_error(gradients[i], dexpected[i]), 2e-4) << model.parameters()[i].name;
    }
    const at::Tensor across = model.loss(windows, at::kFloat);
    EXPECT_GT(std::abs(across.item<double>() - loss.item<double>()), 1e-4);
  }
}

TEST(Documents, ABatchWithoutTargetsHasNoLoss) {
  Transformer model(small_model(LinearKind::kDense), 7, at::kCPU);
  const at::Tensor windows = at::full({2, 9}, kEos, at::kLong);
  const auto documents = find_documents(windows.narrow(1, 0, 8), kEos, at::kCPU);
  EXPECT_EQ(documents->targets, 0);
  EXPECT_EQ(model.loss(windows, at::kFloat, documents).item<double>(), 0.0);
}

}  // namespace
}  // namespace tercet::learn
