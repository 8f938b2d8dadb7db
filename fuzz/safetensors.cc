// SPDX-License-Identifier: Apache-2.0
// A safetensors file: its header, and the values of its tensors.
#include "formats/safetensors_parse.h"
#include "fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tercet;  // NOLINT(google-build-using-namespace)
  const std::span<const uint8_t> bytes(data, size);
  fuzz::accept_or_refuse([&] {
    const SafetensorsContents contents = parse_safetensors(bytes, "fuzz.safetensors");
    fuzz::require(contents.index.size() == contents.tensors.size(), "every tensor is found");
    for (const TensorView& tensor : contents.tensors) {
      fuzz::require(fuzz::lies_in(tensor.bytes, bytes), "tensors lie in the file");
      fuzz::accept_or_refuse([&] { (void)to_f32(tensor); });
    }
  });
  return 0;
}
