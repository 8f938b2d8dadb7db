// SPDX-License-Identifier: Apache-2.0
// Weights in the block types of files. Input: type id, rows, columns / 32, then the blocks.
#include <algorithm>
#include <cmath>
#include <vector>

#include "formats/gguf_types.h"
#include "fuzz/target.h"
#include "packing/quant_blocks.h"
#include "packing/ternary.h"

namespace tercet::fuzz {
namespace {

using packing::TernaryMatrix;

// Decoding, encoding and decoding again gives the same codes.
template <typename Decode, typename Encode>
void check_ternary(std::span<const uint8_t> bytes, int64_t rows, int64_t cols, Decode decode,
                   Encode encode) {
  TernaryMatrix matrix = decode(bytes, rows, cols, "fuzz");
  require(matrix.codes.size() == static_cast<size_t>(rows * cols), "every code is decoded");
  require(std::ranges::all_of(matrix.codes, [](int8_t c) { return c >= -1 && c <= 1; }),
          "codes are trits");
  if (matrix.scope != packing::ScaleScope::kTensor || !std::isfinite(matrix.scales.at(0))) return;
  const std::vector<uint8_t> written = encode(matrix, "fuzz");
  require(decode(written, rows, cols, "fuzz").codes == matrix.codes, "codes survive encoding");
}

// Every byte pattern decodes to something, and nothing beyond the blocks is read.
void check_decoder(packing::BlockType type, std::span<const uint8_t> bytes) {
  const packing::BlockShape shape = packing::block_shape(type);
  const int64_t blocks = static_cast<int64_t>(bytes.size()) / shape.bytes;
  const std::vector<uint8_t> exact(bytes.begin(), bytes.begin() + blocks * shape.bytes);
  std::vector<float> values(static_cast<size_t>(blocks * shape.elements));
  packing::decode_blocks(type, exact.data(), blocks * shape.elements, values.data());
}

void check_blocks(DType type, int64_t rows, int64_t cols, std::span<const uint8_t> bytes) {
  if (type == DType::kTq1_0) {
    check_ternary(bytes, rows, cols, packing::decode_tq1_0, packing::encode_tq1_0);
  } else if (type == DType::kTq2_0) {
    check_ternary(bytes, rows, cols, packing::decode_tq2_0, packing::encode_tq2_0);
  } else {
    const uint64_t row = row_bytes(type, static_cast<uint64_t>(cols), "fuzz");
    if (row * static_cast<uint64_t>(rows) > bytes.size()) return;
    const std::vector<float> values =
        to_f32({"fuzz", type, {rows, cols}, bytes.first(row * static_cast<uint64_t>(rows))});
    require(values.size() == static_cast<size_t>(rows * cols), "every value is decoded");
  }
}

}  // namespace
}  // namespace tercet::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  const auto type = tercet::gguf_dtype(data[0]);
  if (!type) return 0;
  const auto block = static_cast<tercet::packing::BlockType>(
      data[1] % (static_cast<int>(tercet::packing::BlockType::kQ2_0G128) + 1));
  tercet::fuzz::check_decoder(block, {data + 3, size - 3});
  tercet::fuzz::accept_or_refuse([&] {
    tercet::fuzz::check_blocks(*type, data[1], int64_t{data[2]} * 32, {data + 3, size - 3});
  });
  return 0;
}
