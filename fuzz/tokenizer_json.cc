// SPDX-License-Identifier: Apache-2.0
// A tokenizer.json, and the tokenizer that it makes.
#include "fuzz/target.h"
#include "fuzz/tokenizer_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tercet;  // NOLINT(google-build-using-namespace)
  fuzz::accept_or_refuse([&] {
    fuzz::check_tokenizer(Tokenizer::from_json(fuzz::text_of({data, size}), "fuzz.json"));
  });
  return 0;
}
