// SPDX-License-Identifier: Apache-2.0
#include "formats/gguf_parse.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "core/checked.h"
#include "formats/file_kind.h"
#include "formats/gguf_cursor.h"
#include "formats/gguf_extents.h"
#include "formats/gguf_types.h"
#include "formats/gguf_value_reader.h"
#include "formats/shape.h"

namespace tercet {
namespace {

constexpr uint64_t kMinAlignment = 8;
constexpr uint64_t kMaxAlignment = 1u << 20;
constexpr uint64_t kMinKeyValueBytes = 8 + 4 + 1;        // length of the key, type, value
constexpr uint64_t kMinTensorInfoBytes = 8 + 4 + 4 + 8;  // length of the name, dims, type, offset

[[noreturn]] void fail_magic(std::span<const uint8_t> bytes, const std::string& origin) {
  fail(ErrorCode::kBadInput, "{}: not a GGUF file; {}", origin, explain(describe_file(bytes)));
}

uint32_t read_version(GgufCursor& cursor, std::span<const uint8_t> bytes) {
  if (bytes.size() < 4 || cursor.read<uint32_t>("magic") != kGgufMagic) {
    fail_magic(bytes, cursor.origin());
  }
  const uint32_t version = cursor.read<uint32_t>("version");
  if (version == 2 || version == 3) return version;
  if (version != 0 && (version & 0xFFFFu) == 0) {
    fail(ErrorCode::kUnsupported, "{}: big-endian GGUF is not supported", cursor.origin());
  }
  fail(ErrorCode::kUnsupported, "{}: GGUF version {} is not supported; versions 2 and 3 are",
       cursor.origin(), version);
}

std::string read_name(GgufCursor& cursor, const std::string& what, uint64_t limit) {
  std::string name = cursor.read_string(what);
  if (name.empty() || name.size() > limit) {
    fail(ErrorCode::kBadInput, "{}: {} before byte {} has {} bytes; 1 to {} are allowed",
         cursor.origin(), what, cursor.position(), name.size(), limit);
  }
  return name;
}

void read_metadata(GgufCursor& cursor, uint64_t count, GgufContents& out) {
  cursor.require(count, kMinKeyValueBytes, "the list of metadata");
  for (uint64_t i = 0; i < count; ++i) {
    std::string key = read_name(cursor, "a metadata key", kGgufMaxKey);
    GgufValue value = read_gguf_value(cursor, key);
    if (!out.metadata_index.emplace(key, out.metadata.size()).second) {
      fail(ErrorCode::kBadInput, "{}: metadata key '{}' appears twice", cursor.origin(),
           printable(key));
    }
    out.metadata.emplace_back(std::move(key), std::move(value));
  }
}

uint64_t read_alignment(const GgufContents& contents, const std::string& origin) {
  const auto position = contents.metadata_index.find(kGgufAlignmentKey);
  if (position == contents.metadata_index.end()) return kGgufDefaultAlignment;
  const GgufValue& value = contents.metadata[position->second].second;
  if (value.type != GgufValue::Type::kU32) {
    fail(ErrorCode::kBadInput, "{}: {} must be a u32", origin, kGgufAlignmentKey);
  }
  const uint64_t alignment = std::get<uint64_t>(value.value);
  if (!std::has_single_bit(alignment) || alignment < kMinAlignment || alignment > kMaxAlignment) {
    fail(ErrorCode::kBadInput, "{}: {} is {}; a power of two from {} to {} is expected", origin,
         kGgufAlignmentKey, alignment, kMinAlignment, kMaxAlignment);
  }
  return alignment;
}

// The extents lie innermost first in the file.
std::vector<int64_t> read_shape(GgufCursor& cursor, const std::string& where) {
  const uint32_t dims = cursor.read<uint32_t>(where);
  if (dims > kGgufMaxDims) {
    fail(ErrorCode::kBadInput, "{}: {} has {} dimensions; at most {} are allowed", cursor.origin(),
         where, dims, kGgufMaxDims);
  }
  std::vector<uint64_t> extents(dims);
  for (uint64_t& extent : extents) extent = cursor.read<uint64_t>(where);
  std::reverse(extents.begin(), extents.end());
  return checked_shape(extents, cursor.origin() + ": " + where);
}

[[noreturn]] void fail_type(const std::string& where, uint32_t id) {
  if (const char* name = gguf_foreign_type(id)) {
    fail(ErrorCode::kUnsupported, "{} is of type {} (id {}), which this version does not read",
         where, name, id);
  }
  fail(ErrorCode::kUnsupported, "{} has type id {}, which is not known", where, id);
}

GgufTensorInfo read_tensor_info(GgufCursor& cursor) {
  GgufTensorInfo info;
  info.view.name = read_name(cursor, "a tensor name", kGgufMaxTensorNameRead);
  const std::string where = "tensor '" + printable(info.view.name) + "'";
  info.view.shape = read_shape(cursor, where);
  info.type_id = cursor.read<uint32_t>(where);
  const auto type = gguf_dtype(info.type_id);
  if (!type) fail_type(cursor.origin() + ": " + where, info.type_id);
  info.view.type = *type;
  info.offset = cursor.read<uint64_t>(where);
  return info;
}

std::vector<GgufTensorInfo> read_tensor_infos(GgufCursor& cursor, uint64_t count,
                                              GgufContents& out) {
  cursor.require(count, kMinTensorInfoBytes, "the list of tensors");
  std::vector<GgufTensorInfo> infos;
  for (uint64_t i = 0; i < count; ++i) {
    GgufTensorInfo info = read_tensor_info(cursor);
    if (!out.tensor_index.emplace(info.view.name, i).second) {
      fail(ErrorCode::kBadInput, "{}: tensor '{}' appears twice", cursor.origin(),
           printable(info.view.name));
    }
    infos.push_back(std::move(info));
  }
  return infos;
}

// Cuts the tensor's bytes out of the data section.
void place(GgufTensorInfo& info, std::span<const uint8_t> data, uint64_t alignment,
           const std::string& origin) {
  const auto end = checked_add(info.offset, info.bytes);
  if (!end || *end > data.size()) {
    fail(ErrorCode::kBadInput,
         "{}: tensor '{}' has {} bytes at offset {} of {} data bytes; the file is cut or damaged",
         origin, printable(info.view.name), info.bytes, info.offset, data.size());
  }
  if (info.offset % alignment != 0) {
    fail(ErrorCode::kBadInput, "{}: tensor '{}' lies at offset {}, no multiple of the alignment {}",
         origin, printable(info.view.name), info.offset, alignment);
  }
  info.view.bytes = data.subspan(info.offset, info.bytes);
}

void check_overlap(const std::vector<GgufTensorInfo>& infos, const std::string& origin) {
  std::vector<size_t> order(infos.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(infos[a].offset, infos[a].bytes) < std::pair(infos[b].offset, infos[b].bytes);
  });
  for (size_t i = 1; i < order.size(); ++i) {
    const GgufTensorInfo& before = infos[order[i - 1]];
    const GgufTensorInfo& after = infos[order[i]];
    if (before.offset + before.bytes <= after.offset) continue;
    fail(ErrorCode::kBadInput, "{}: tensors '{}' and '{}' overlap; the file is damaged", origin,
         printable(before.view.name), printable(after.view.name));
  }
}

}  // namespace

GgufContents parse_gguf(std::span<const uint8_t> bytes, const std::string& origin) {
  GgufCursor cursor(bytes, origin);
  GgufContents out;
  out.version = read_version(cursor, bytes);
  const uint64_t tensor_count = cursor.read<uint64_t>("the tensor count");
  const uint64_t metadata_count = cursor.read<uint64_t>("the metadata count");
  read_metadata(cursor, metadata_count, out);
  const uint64_t alignment = read_alignment(out, origin);
  std::vector<GgufTensorInfo> infos = read_tensor_infos(cursor, tensor_count, out);

  const uint64_t data_start = (cursor.position() + alignment - 1) / alignment * alignment;
  const auto data = bytes.subspan(std::min<uint64_t>(data_start, bytes.size()));
  resolve_types(infos, data.size(), alignment, origin);
  for (GgufTensorInfo& info : infos) place(info, data, alignment, origin);
  check_overlap(infos, origin);
  for (GgufTensorInfo& info : infos) out.tensors.push_back(std::move(info.view));
  return out;
}

}  // namespace tercet
