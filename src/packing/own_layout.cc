// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <optional>

#include "core/checked.h"
#include "core/error.h"
#include "core/half.h"
#include "packing/matrix_check.h"
#include "packing/own_codes.h"
#include "packing/ternary.h"

namespace tercet::packing {
namespace {

// Files are little-endian, and OwnView hands out their scales as they lie.
static_assert(std::endian::native == std::endian::little, "byte swapping is not written yet");

constexpr uint64_t kPart = 64;         // header, codes and scales are padded to multiples of this
constexpr uint16_t kPlainVersion = 1;  // scales in f32
constexpr uint16_t kVersion = 2;       // and in other types, which the header names
constexpr char kMagic[4] = {'T', 'C', 'T', 'L'};

struct Header {
  char magic[4];
  uint16_t version;
  uint8_t layout;
  uint8_t scope;
  int64_t rows;
  int64_t cols;
  int64_t group_size;
  uint64_t scales_offset;
  uint8_t scale_type;
  uint8_t padding[23];
};
static_assert(sizeof(Header) == kPart);
static_assert(offsetof(Header, rows) == 8 && offsetof(Header, scales_offset) == 32);

// Sizes that follow from a shape, all in bytes.
struct Extent {
  uint64_t row_stride;
  uint64_t codes;
  uint64_t scales_offset;
  uint64_t scales;
  uint64_t total;
};

std::optional<uint64_t> padded(std::optional<uint64_t> size) {
  const auto raised = size ? checked_add(*size, kPart - 1) : size;
  return raised ? std::optional(*raised / kPart * kPart) : raised;
}

Extent extent_of(const Header& header, const std::string& origin) {
  Extent extent = {};
  extent.row_stride = static_cast<uint64_t>(
      row_bytes(static_cast<Layout>(header.layout), header.cols, header.group_size));
  const auto codes = checked_mul(static_cast<uint64_t>(header.rows), extent.row_stride);
  const auto padded_codes = padded(codes);
  const auto offset = padded_codes ? checked_add(kPart, *padded_codes) : padded_codes;
  const auto scales = checked_mul(scale_count(static_cast<ScaleScope>(header.scope), header.rows,
                                              header.cols, header.group_size, origin),
                                  scale_bytes(static_cast<ScaleType>(header.scale_type)));
  const auto padded_scales = padded(scales);
  const auto total = offset && padded_scales ? checked_add(*offset, *padded_scales) : std::nullopt;
  if (!total) {
    fail(ErrorCode::kBadInput, "{}: a packed matrix of {} x {} does not fit into 64 bits", origin,
         header.rows, header.cols);
  }
  extent.codes = *codes;
  extent.scales_offset = *offset;
  extent.scales = *scales;
  extent.total = *total;
  return extent;
}

// Everything that the header alone can tell.
Header read_header(std::span<const uint8_t> bytes, const std::string& origin) {
  Header header = {};
  if (bytes.size() < sizeof(header)) {
    fail(ErrorCode::kBadInput, "{}: {} bytes are too few for a packed matrix", origin,
         bytes.size());
  }
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0) {
    fail(ErrorCode::kBadInput, "{}: the magic of a packed matrix is missing", origin);
  }
  if (header.version < kPlainVersion || header.version > kVersion) {
    fail(ErrorCode::kUnsupported, "{}: packed matrix version {}, this program reads up to {}",
         origin, header.version, kVersion);
  }
  const ScaleType type = header.version == kPlainVersion ? ScaleType::kF32 : ScaleType::kF16;
  if (header.scale_type != static_cast<uint8_t>(type)) {
    fail(ErrorCode::kBadInput, "{}: type {} of scales is unknown in version {}", origin,
         header.scale_type, header.version);
  }
  if (!is_own_layout(static_cast<Layout>(header.layout))) {
    fail(ErrorCode::kBadInput, "{}: packed matrix layout {} is unknown", origin, header.layout);
  }
  if (header.scope > static_cast<uint8_t>(ScaleScope::kGroup)) {
    fail(ErrorCode::kBadInput, "{}: scale scope {} is unknown", origin, header.scope);
  }
  if (header.rows < 1 || header.cols < 1) {
    fail(ErrorCode::kBadInput, "{}: a packed matrix of {} x {} is empty or damaged", origin,
         header.rows, header.cols);
  }
  const bool grouped = header.scope == static_cast<uint8_t>(ScaleScope::kGroup);
  if (header.group_size < 1 || header.group_size > header.cols ||
      (!grouped && header.group_size != header.cols)) {
    fail(ErrorCode::kBadInput, "{}: group size {} does not fit {} columns", origin,
         header.group_size, header.cols);
  }
  return header;
}

void check_zero(std::span<const uint8_t> bytes, const char* place, const std::string& origin) {
  if (std::any_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte != 0; })) {
    fail(ErrorCode::kBadInput, "{}: the padding after the {} is not zero, the file is damaged",
         origin, place);
  }
}

// Calls visit(group's first byte of codes, its first element, its length) in storage order.
template <class Visit>
void for_each_group(Layout layout, int64_t rows, int64_t cols, int64_t group, Visit visit) {
  int64_t byte = 0;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < cols; column += group) {
      const int64_t count = std::min(group, cols - column);
      visit(byte, row * cols + column, count);
      byte += row_bytes(layout, count, count);
    }
  }
}

void check_codes(const OwnView& view, const std::string& origin) {
  for_each_group(view.layout, view.rows, view.cols, view.group_size,
                 [&](int64_t byte, int64_t element, int64_t count) {
                   if (group_is_valid(view.layout, &view.codes[byte], count)) return;
                   fail(ErrorCode::kBadInput,
                        "{}: row {} holds a byte that stands for no ternary codes, the file is "
                        "damaged",
                        origin, element / view.cols);
                 });
}

void check_scales(const OwnView& view, const std::string& origin) {
  const auto check = [&](size_t index, float scale) {
    if (std::isfinite(scale)) return;
    fail(ErrorCode::kBadInput, "{}: scale {} is NaN or infinite, the file is damaged", origin,
         index);
  };
  for (size_t i = 0; i < view.scales.size(); ++i) check(i, view.scales[i]);
  for (size_t i = 0; i < view.half_scales.size(); ++i) check(i, f16_to_f32(view.half_scales[i]));
}

}  // namespace

uint64_t scale_bytes(ScaleType type) {
  return type == ScaleType::kF16 ? sizeof(uint16_t) : sizeof(float);
}

std::vector<uint8_t> stored_scales(std::span<const float> scales, ScaleType type) {
  std::vector<uint8_t> out(scales.size() * scale_bytes(type));
  if (type == ScaleType::kF32) {
    if (!scales.empty()) std::memcpy(out.data(), scales.data(), out.size());
    return out;
  }
  for (size_t i = 0; i < scales.size(); ++i) {
    const uint16_t half = f32_to_f16(scales[i]);
    if (f16_to_f32(half) != scales[i]) {
      fail(ErrorCode::kInternal, "the scale {} is no f16", scales[i]);
    }
    std::memcpy(&out[i * sizeof(half)], &half, sizeof(half));
  }
  return out;
}

std::vector<float> scales_of(const OwnView& view) {
  std::vector<float> out(view.scales.begin(), view.scales.end());
  for (const uint16_t half : view.half_scales) out.push_back(f16_to_f32(half));
  return out;
}

OwnParts own_parts(Layout layout, int64_t rows, int64_t cols, ScaleScope scope, int64_t group_size,
                   ScaleType scales) {
  const std::string origin = to_string(layout);
  if (!is_own_layout(layout)) {
    fail(ErrorCode::kInternal, "{} is not one of Tercet's own layouts", origin);
  }
  if (rows < 1 || cols < 1) {
    fail(ErrorCode::kInternal, "{}: a matrix of {} x {} has nothing to pack", origin, rows, cols);
  }
  Header header = {};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.version = scales == ScaleType::kF32 ? kPlainVersion : kVersion;
  header.scale_type = static_cast<uint8_t>(scales);
  header.layout = static_cast<uint8_t>(layout);
  header.scope = static_cast<uint8_t>(scope);
  header.rows = rows;
  header.cols = cols;
  header.group_size = scope == ScaleScope::kGroup ? std::min(group_size, cols) : cols;
  const Extent extent = extent_of(header, origin);
  header.scales_offset = extent.scales_offset;

  OwnParts parts;
  static_assert(sizeof(parts.header) == sizeof(header));
  std::memcpy(parts.header.data(), &header, sizeof(header));
  parts.codes = extent.codes;
  parts.codes_padding = extent.scales_offset - kPart - extent.codes;
  parts.scales = extent.scales;
  parts.scales_padding = extent.total - extent.scales_offset - extent.scales;
  return parts;
}

std::vector<uint8_t> encode_own(Layout layout, const TernaryMatrix& matrix, ScaleType scales) {
  check_matrix(matrix, to_string(layout));
  if (!can_hold(layout, matrix.codes)) {
    fail(ErrorCode::kInternal, "{} has no code for zero", to_string(layout));
  }
  const OwnParts parts =
      own_parts(layout, matrix.rows, matrix.cols, matrix.scope, matrix.group_size, scales);
  std::vector<uint8_t> bytes(parts.total());
  std::memcpy(bytes.data(), parts.header.data(), parts.header.size());
  uint8_t* codes = bytes.data() + kPart;
  for_each_group(
      layout, matrix.rows, matrix.cols, columns_per_scale(matrix),
      [&](int64_t byte, int64_t element, int64_t count) {
        pack_group(layout, {&matrix.codes[element], static_cast<size_t>(count)}, codes + byte);
      });
  const std::vector<uint8_t> stored = stored_scales(matrix.scales, scales);
  std::memcpy(codes + parts.codes + parts.codes_padding, stored.data(), stored.size());
  return bytes;
}

Layout own_layout(std::span<const uint8_t> bytes, const std::string& origin) {
  return static_cast<Layout>(read_header(bytes, origin).layout);
}

OwnView view_own(std::span<const uint8_t> bytes, const std::string& origin) {
  const Header header = read_header(bytes, origin);
  const Extent extent = extent_of(header, origin);
  if (header.scales_offset != extent.scales_offset || bytes.size() != extent.total) {
    fail(ErrorCode::kBadInput,
         "{}: a packed matrix of {} x {} takes {} bytes with scales at {}, found {} bytes with "
         "scales at {}",
         origin, header.rows, header.cols, extent.total, extent.scales_offset, bytes.size(),
         header.scales_offset);
  }
  const uint8_t* scales = bytes.data() + extent.scales_offset;
  if (reinterpret_cast<uintptr_t>(scales) % alignof(float) != 0) {
    fail(ErrorCode::kBadInput,
         "{}: a packed matrix must start at a multiple of 4 bytes in memory; write the file with "
         "an alignment of 32",
         origin);
  }
  OwnView view;
  view.layout = static_cast<Layout>(header.layout);
  view.scope = static_cast<ScaleScope>(header.scope);
  view.rows = header.rows;
  view.cols = header.cols;
  view.group_size = header.group_size;
  view.row_stride = static_cast<int64_t>(extent.row_stride);
  view.codes = bytes.subspan(kPart, extent.codes);
  if (header.scale_type == static_cast<uint8_t>(ScaleType::kF16)) {
    view.half_scales = {reinterpret_cast<const uint16_t*>(scales),
                        extent.scales / sizeof(uint16_t)};
  } else {
    view.scales = {reinterpret_cast<const float*>(scales), extent.scales / sizeof(float)};
  }

  const uint64_t codes_end = kPart + extent.codes;
  check_zero(header.padding, "header", origin);
  check_zero(bytes.subspan(codes_end, extent.scales_offset - codes_end), "codes", origin);
  check_zero(bytes.subspan(extent.scales_offset + extent.scales), "scales", origin);
  check_scales(view, origin);
  check_codes(view, origin);
  return view;
}

TernaryMatrix decode_own(const OwnView& view) {
  TernaryMatrix matrix;
  matrix.rows = view.rows;
  matrix.cols = view.cols;
  matrix.scope = view.scope;
  matrix.group_size = view.scope == ScaleScope::kGroup ? view.group_size : 0;
  matrix.scales = scales_of(view);
  matrix.codes.resize(static_cast<size_t>(view.rows) * static_cast<size_t>(view.cols));
  for_each_group(view.layout, view.rows, view.cols, view.group_size,
                 [&](int64_t byte, int64_t element, int64_t count) {
                   unpack_group(view.layout, &view.codes[byte],
                                {&matrix.codes[element], static_cast<size_t>(count)});
                 });
  return matrix;
}

}  // namespace tercet::packing
