// SPDX-License-Identifier: Apache-2.0
// A matrix in Tercet's own layouts: what is accepted is exactly what the encoder writes.
#include <algorithm>
#include <vector>

#include "fuzz/target.h"
#include "packing/ternary.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tercet;  // NOLINT(google-build-using-namespace)
  // The heap aligns as a GGUF file does.
  const std::vector<uint8_t> bytes(data, data + size);
  fuzz::accept_or_refuse([&] {
    const packing::OwnView view = packing::view_own(bytes, "fuzz");
    const packing::TernaryMatrix matrix = packing::decode_own(view);
    for (const int8_t code : matrix.codes)
      fuzz::require(code >= -1 && code <= 1, "codes are trits");
    const auto scales =
        view.half_scales.empty() ? packing::ScaleType::kF32 : packing::ScaleType::kF16;
    fuzz::require(std::ranges::equal(packing::encode_own(view.layout, matrix, scales), bytes),
                  "accepted bytes are what the encoder writes");
  });
  return 0;
}
