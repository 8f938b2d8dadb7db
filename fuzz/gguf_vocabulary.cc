// SPDX-License-Identifier: Apache-2.0
// The tokenizer.ggml.* keys of a GGUF file, and the tokenizer that they make.
#include "formats/gguf.h"
#include "fuzz/target.h"
#include "fuzz/tokenizer_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tercet;  // NOLINT(google-build-using-namespace)
  fuzz::accept_or_refuse([&] {
    const GgufFile file(std::span(data, size), "fuzz.gguf");
    fuzz::check_tokenizer(Tokenizer::from_gguf(file));
  });
  return 0;
}
