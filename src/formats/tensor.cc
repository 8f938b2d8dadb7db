// SPDX-License-Identifier: Apache-2.0
#include "formats/tensor.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/checked.h"
#include "core/error.h"
#include "core/half.h"
#include "formats/printable.h"

namespace tercet {
namespace {

static_assert(std::endian::native == std::endian::little, "all file formats are little-endian");

// `elements` consecutive elements take `bytes` bytes.
struct Block {
  uint64_t elements;
  uint64_t bytes;
};

constexpr uint64_t kI2STail = 32;  // f32 scale and padding
constexpr size_t kQ8Elements = 32;
constexpr size_t kQ8Bytes = 2 + kQ8Elements;  // f16 scale, then int8 values

Block block_of(DType type) {
  switch (type) {
    case DType::kF32:
    case DType::kI32:
      return {1, 4};
    case DType::kF16:
    case DType::kBF16:
    case DType::kI16:
      return {1, 2};
    case DType::kF64:
    case DType::kI64:
      return {1, 8};
    case DType::kI8:
    case DType::kU8:
    case DType::kBool:
      return {1, 1};
    case DType::kQ4_0:
    case DType::kIq4Nl:
      return {32, 18};
    case DType::kQ4_1:
      return {32, 20};
    case DType::kQ5_0:
      return {32, 22};
    case DType::kQ5_1:
      return {32, 24};
    case DType::kQ8_0:
      return {kQ8Elements, kQ8Bytes};
    case DType::kQ2_K:
      return {256, 84};
    case DType::kQ3_K:
      return {256, 110};
    case DType::kQ4_K:
      return {256, 144};
    case DType::kQ5_K:
      return {256, 176};
    case DType::kQ6_K:
      return {256, 210};
    case DType::kTq1_0:
      return {256, 54};
    case DType::kTq2_0:
      return {256, 66};
    case DType::kI2S:  // the smaller of its two blocks
      return {64, 16};
    case DType::kQ1_0:
      return {128, 18};
    case DType::kQ2_0:
      return {64, 18};
    case DType::kQ2_0G128:
      return {128, 34};
  }
  fail(ErrorCode::kInternal, "element type {} has no size", static_cast<int>(type));
}

template <typename T>
T load(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

void append_u16(std::vector<uint8_t>& out, uint16_t value) {
  out.push_back(static_cast<uint8_t>(value & 0xFFu));
  out.push_back(static_cast<uint8_t>(value >> 8));
}

void decode_q8_0(std::span<const uint8_t> bytes, std::vector<float>& out) {
  for (size_t at = 0; at + kQ8Bytes <= bytes.size(); at += kQ8Bytes) {
    const float scale = f16_to_f32(load<uint16_t>(bytes.data() + at));
    for (size_t i = 0; i < kQ8Elements; ++i) {
      out.push_back(scale * static_cast<float>(load<int8_t>(bytes.data() + at + 2 + i)));
    }
  }
}

// The scale is rounded to f16 only for storage; values are divided by the unrounded one, as the
// format's reference encoder does. All values are finite.
void encode_q8_0_block(std::span<const float> values, std::vector<uint8_t>& out) {
  float absmax = 0.0f;
  for (const float value : values) absmax = std::max(absmax, std::fabs(value));
  const float scale = absmax / 127.0f;
  const float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
  append_u16(out, f32_to_f16(scale));
  for (const float value : values) {
    // Clamped because a subnormal scale has an infinite inverse; zero times that is a NaN, which
    // would make the cast undefined.
    const float rounded = std::clamp(std::round(value * inverse), -127.0f, 127.0f);
    out.push_back(static_cast<uint8_t>(std::isnan(rounded) ? 0 : static_cast<int8_t>(rounded)));
  }
}

// The largest f32 that is still finite as `type`: halfway to the power of two after the largest
// value, the tie itself rounding up.
float largest_encodable(DType type) {
  switch (type) {
    case DType::kF16:
      return std::nextafter(65520.0f, 0.0f);
    case DType::kBF16:
      return std::bit_cast<float>(0x7F7F7FFFu);
    case DType::kQ8_0:  // the scale is what overflows
      return std::nextafter(65520.0f, 0.0f) * 127.0f;
    default:
      return std::numeric_limits<float>::max();
  }
}

void check_encodable(std::span<const float> values, DType type, const std::string& origin) {
  const float limit = largest_encodable(type);
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::fabs(values[i]) <= limit) continue;
    if (!std::isfinite(values[i])) {
      fail(ErrorCode::kBadInput, "{}: value {} of {} is not a finite number", origin, i,
           values.size());
    }
    fail(ErrorCode::kBadInput, "{}: value {} is {}, too large for {}; use {}", origin, i, values[i],
         to_string(type), type == DType::kBF16 ? "f32" : "bf16 or f32");
  }
}

// The types that to_f32() reads; blocks of fewer bits are packing's.
bool is_plain(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16 || type == DType::kQ8_0;
}

}  // namespace

const char* to_string(DType type) {
  switch (type) {
    case DType::kF32:
      return "f32";
    case DType::kF16:
      return "f16";
    case DType::kBF16:
      return "bf16";
    case DType::kF64:
      return "f64";
    case DType::kI8:
      return "i8";
    case DType::kU8:
      return "u8";
    case DType::kI16:
      return "i16";
    case DType::kI32:
      return "i32";
    case DType::kI64:
      return "i64";
    case DType::kBool:
      return "bool";
    case DType::kQ4_0:
      return "q4_0";
    case DType::kQ4_1:
      return "q4_1";
    case DType::kQ5_0:
      return "q5_0";
    case DType::kQ5_1:
      return "q5_1";
    case DType::kQ8_0:
      return "q8_0";
    case DType::kQ2_K:
      return "q2_k";
    case DType::kQ3_K:
      return "q3_k";
    case DType::kQ4_K:
      return "q4_k";
    case DType::kQ5_K:
      return "q5_k";
    case DType::kQ6_K:
      return "q6_k";
    case DType::kIq4Nl:
      return "iq4_nl";
    case DType::kTq1_0:
      return "tq1_0";
    case DType::kTq2_0:
      return "tq2_0";
    case DType::kI2S:
      return "i2_s";
    case DType::kQ1_0:
      return "q1_0";
    case DType::kQ2_0:
      return "q2_0";
    case DType::kQ2_0G128:
      return "q2_0_g128";
  }
  return "unknown";
}

uint64_t row_bytes(DType type, uint64_t elements, const std::string& origin) {
  const Block block = block_of(type);
  if (elements % block.elements != 0) {
    fail(ErrorCode::kBadInput,
         "{}: rows of {} elements cannot be {}, which needs a multiple of {}; choose another type",
         origin, elements, to_string(type), block.elements);
  }
  const auto bytes = checked_mul(elements / block.elements, block.bytes);
  if (!bytes) fail(ErrorCode::kBadInput, "{}: {} elements overflow a size", origin, elements);
  return *bytes;
}

uint64_t tensor_bytes(DType type, uint64_t rows, uint64_t cols, const std::string& origin) {
  auto bytes = checked_mul(rows, row_bytes(type, cols, origin));
  if (bytes && type == DType::kI2S) bytes = checked_add(*bytes, kI2STail);
  if (!bytes) {
    fail(ErrorCode::kBadInput, "{}: {} rows of {} elements are too large", origin, rows, cols);
  }
  return *bytes;
}

int64_t TensorView::elements() const {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return count;
}

std::vector<float> to_f32(const TensorView& tensor) {
  if (!is_plain(tensor.type)) {
    fail(ErrorCode::kUnsupported, "tensor '{}' is {}; f32, f16, bf16 or q8_0 is needed here",
         printable(tensor.name), to_string(tensor.type));
  }
  const uint64_t count = static_cast<uint64_t>(tensor.elements());
  const uint8_t* bytes = tensor.bytes.data();
  if (tensor.bytes.size() != row_bytes(tensor.type, count, tensor.name)) {
    fail(ErrorCode::kInternal, "tensor '{}' has {} bytes for {} elements of {}", tensor.name,
         tensor.bytes.size(), count, to_string(tensor.type));
  }
  std::vector<float> out;
  out.reserve(count);
  switch (tensor.type) {
    case DType::kF32:
      out.resize(count);
      if (count != 0) std::memcpy(out.data(), bytes, tensor.bytes.size());
      return out;
    case DType::kF16:
      for (size_t i = 0; i < count; ++i) out.push_back(f16_to_f32(load<uint16_t>(bytes + 2 * i)));
      return out;
    case DType::kBF16:
      for (size_t i = 0; i < count; ++i) out.push_back(bf16_to_f32(load<uint16_t>(bytes + 2 * i)));
      return out;
    default:
      decode_q8_0(tensor.bytes, out);
      return out;
  }
}

std::vector<uint8_t> from_f32(std::span<const float> values, DType type, int64_t cols,
                              const std::string& origin) {
  if (cols <= 0 || values.size() % static_cast<size_t>(cols) != 0) {
    fail(ErrorCode::kInternal, "{}: {} values are no whole rows of {}", origin, values.size(),
         cols);
  }
  const uint64_t row = row_bytes(type, static_cast<uint64_t>(cols), origin);
  check_encodable(values, type, origin);
  std::vector<uint8_t> out;
  out.reserve(row * (values.size() / static_cast<size_t>(cols)));
  switch (type) {
    case DType::kF32:
      out.resize(values.size_bytes());
      if (!values.empty()) std::memcpy(out.data(), values.data(), values.size_bytes());
      return out;
    case DType::kF16:
      for (const float value : values) append_u16(out, f32_to_f16(value));
      return out;
    case DType::kBF16:
      for (const float value : values) append_u16(out, f32_to_bf16(value));
      return out;
    case DType::kQ8_0:
      for (size_t at = 0; at < values.size(); at += kQ8Elements) {
        encode_q8_0_block(values.subspan(at, kQ8Elements), out);
      }
      return out;
    default:
      fail(ErrorCode::kUnsupported, "{}: cannot write {}; choose f32, f16, bf16 or q8_0", origin,
           to_string(type));
  }
}

}  // namespace tercet
