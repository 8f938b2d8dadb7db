// SPDX-License-Identifier: Apache-2.0
// make_test_model DIR: a small random b1.58 model with a tokenizer as HF directory DIR/b158, and a
// dense one with the same tokenizer as DIR/dense.
#include <cstdio>
#include <exception>
#include <filesystem>

#include "model/test_models.h"
#include "tokenizer/support.h"

namespace {

void make(const std::filesystem::path& folder, tercet::ModelConfig config) {
  tercet::testing::train_small(folder);
  config.vocab_size = tercet::Tokenizer::load(folder).vocab_size();
  // Long enough that a test can interrupt a generation.
  config.max_position_embeddings = 1 << 17;
  tercet::test::write_hf_model(folder, config, tercet::test::random_weights(config, 1));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    make(std::filesystem::path(argv[1]) / "b158", tercet::test::tiny_b158_config());
    make(std::filesystem::path(argv[1]) / "dense", tercet::test::tiny_config());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_test_model: %s\n", error.what());
    return 1;
  }
  return 0;
}
