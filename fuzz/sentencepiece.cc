// SPDX-License-Identifier: Apache-2.0
// A SentencePiece tokenizer.model: the message, its checks, and encoding with what it makes.
#include "fuzz/target.h"
#include "tokenizer/bpe.h"
#include "tokenizer/spm_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tercet;  // NOLINT(google-build-using-namespace)
  fuzz::accept_or_refuse([&] {
    const Vocabulary vocabulary(parse_spm(fuzz::text_of({data, size}), "fuzz.model"));
    for (const std::string_view text : {"\u2581the\u2581light", "a\n\n\u2581b\t12345",
                                        "caf\u00e9\u2581\u4e2d\u6587", "\xff\xc3<s><0x0A>"}) {
      for (const int32_t id : bpe_encode(vocabulary, text)) {
        fuzz::require(id >= 0 && id < vocabulary.size(), "encoding gives ids of the vocabulary");
      }
    }
  });
  return 0;
}
