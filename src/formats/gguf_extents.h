// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/tensor.h"

namespace tercet {

// A tensor as a GGUF file describes it.
struct GgufTensorInfo {
  TensorView view;  // without bytes until they are placed
  uint32_t type_id = 0;
  uint64_t offset = 0;  // from the start of the data section
  uint64_t bytes = 0;
};

// Gives every tensor its type and size, and checks that the data section of `data_bytes` bytes
// holds it. Most types follow from the type id. Two ids stand for several layouts, told apart by
// the room that a tensor has up to the next one (or the end), which is its size rounded up to
// `alignment`:
//   42  q2_0 in groups of 64, or of 128. Where a tensor is so small that both take the same room,
//       the other tensors of the file decide.
//   36  i2_s, or the iq4_nl_4_4 that mainline llama.cpp once had.
// Throws kBadInput naming `origin` and the tensor when a size fits no layout, kUnsupported when
// nothing tells them apart.
void resolve_types(std::vector<GgufTensorInfo>& infos, uint64_t data_bytes, uint64_t alignment,
                   const std::string& origin);

}  // namespace tercet
