// SPDX-License-Identifier: Apache-2.0
// Any text through a small fixed tokenizer: what is encoded decodes to the same bytes.
#include <fmt/format.h>

#include "formats/gguf.h"
#include "fuzz/target.h"
#include "fuzz/tiny_vocabulary.h"
#include "fuzz/tokenizer_check.h"

namespace tercet::fuzz {
namespace {

// Spaces and space symbols are the same to the tokenizer.
std::string with_plain_spaces(std::string_view text) {
  std::string out(text);
  for (size_t at = 0; (at = out.find(kSpaceSymbol, at)) != std::string::npos; ++at) {
    out.replace(at, kSpaceSymbol.size(), " ");
  }
  return out;
}

}  // namespace
}  // namespace tercet::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tercet;  // NOLINT(google-build-using-namespace)
  static const Tokenizer tokenizer = fuzz::tiny_tokenizer();
  const std::string_view text = fuzz::text_of({data, size});
  fuzz::accept_or_refuse([&] {
    fuzz::check_text(tokenizer, text);
    fuzz::require(tokenizer.decode(tokenizer.encode(text)) == fuzz::with_plain_spaces(text),
                  "a text survives encoding and decoding");
  });
  return 0;
}
