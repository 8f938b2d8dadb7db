// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "learn/data_support.h"
#include "tokenizer/trainer.h"

namespace tercet::testing {

// A directory, and a tokenizer of 300 pieces that all tests of a suite share.
class WithTokenizer : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = new TemporaryDirectory;
    bool delivered = false;
    TrainerOptions options;
    options.vocab_size = 300;
    options.character_coverage = 1;
    train_tokenizer(
        [&](std::string& text) {
          text = some_text(20'000, 0);
          return !std::exchange(delivered, true);
        },
        options, shared_->file("tokenizer"));
  }
  static void TearDownTestSuite() {
    delete shared_;
    shared_ = nullptr;
  }
  static std::filesystem::path tokenizer() { return shared_->file("tokenizer"); }

  TemporaryDirectory directory_;

 private:
  inline static TemporaryDirectory* shared_ = nullptr;
};

}  // namespace tercet::testing
