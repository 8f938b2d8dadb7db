// SPDX-License-Identifier: Apache-2.0
#include "runtime/end_tokens.h"

#include <gtest/gtest.h>

#include "model/test_models.h"
#include "tokenizer/support.h"

namespace tercet {
namespace {

std::vector<int32_t> ends_of(bool with_tokenizer, const std::vector<int32_t>& of_config) {
  const testing::TemporaryDirectory folder;
  ModelConfig config = test::tiny_b158_config();
  if (with_tokenizer) {
    testing::train_small(folder.path());
    config.vocab_size = Tokenizer::load(folder.path()).vocab_size();
  }
  config.eos_token_ids = of_config;
  test::write_hf_model(folder.path(), config, test::random_weights(config, 3));
  return end_of_generation_ids(Model::load(folder.path()));
}

TEST(EndTokens, AreThoseOfTheFilesAndOfTheTokenizer) {
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(ends_of(false, {5, 3}), (Ids{3, 5}));
  // </s>, a control token of this vocabulary, is 2.
  EXPECT_EQ(ends_of(true, {9, 5}), (Ids{2, 5, 9}));
  EXPECT_EQ(ends_of(true, {2}), (Ids{2}));
}

}  // namespace
}  // namespace tercet
