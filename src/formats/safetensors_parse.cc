// SPDX-License-Identifier: Apache-2.0
#include "formats/safetensors_parse.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "core/checked.h"
#include "core/error.h"
#include "formats/json_fields.h"
#include "formats/printable.h"
#include "formats/safetensors_dtype.h"
#include "formats/shape.h"

namespace tercet {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr size_t kLengthBytes = 8;
constexpr size_t kMaxDims = 8;

// A tensor as the header describes it; offsets count from the end of the header.
struct Entry {
  TensorView view;
  uint64_t begin = 0;
  uint64_t end = 0;
};

uint64_t to_count(const Json& value, const std::string& where) {
  if (!value.is_number_unsigned()) {
    fail(ErrorCode::kBadInput, "{}: {} where a non-negative whole number is expected", where,
         value.is_number() ? value.dump() : std::string(value.type_name()));
  }
  return value.get<uint64_t>();
}

std::vector<int64_t> read_shape(const Json& shape, const std::string& where) {
  if (!shape.is_array() || shape.size() > kMaxDims) {
    fail(ErrorCode::kBadInput, "{}: shape must be a list of at most {} numbers", where, kMaxDims);
  }
  std::vector<uint64_t> extents;
  for (const Json& extent : shape) extents.push_back(to_count(extent, where));
  return checked_shape(extents, where);
}

Entry read_entry(const std::string& name, const Json& json, const std::string& origin) {
  const std::string where = origin + ": tensor '" + printable(name) + "'";
  const JsonFields fields(json, where);
  const std::string dtype = fields.string_or("dtype", "");
  const auto type = safetensors_dtype(dtype);
  if (!type) {
    fail(ErrorCode::kUnsupported, "{}: element type \"{}\" is not supported", where,
         printable(dtype));
  }
  const Json* shape = fields.find("shape");
  const Json* offsets = fields.find("data_offsets");
  if (shape == nullptr) fail(ErrorCode::kBadInput, "{}: shape is missing", where);
  if (offsets == nullptr || !offsets->is_array() || offsets->size() != 2) {
    fail(ErrorCode::kBadInput, "{}: data_offsets must be two numbers", where);
  }
  Entry entry;
  entry.view.name = name;
  entry.view.type = *type;
  entry.view.shape = read_shape(*shape, where);
  entry.begin = to_count((*offsets)[0], where);
  entry.end = to_count((*offsets)[1], where);
  const uint64_t bytes = row_bytes(*type, static_cast<uint64_t>(entry.view.elements()), where);
  if (entry.end < entry.begin || entry.end - entry.begin != bytes) {
    fail(ErrorCode::kBadInput, "{}: data_offsets [{}, {}] do not span the {} bytes of its shape",
         where, entry.begin, entry.end, bytes);
  }
  return entry;
}

std::map<std::string, std::string> read_metadata(const Json& json, const std::string& origin) {
  std::map<std::string, std::string> out;
  const JsonFields fields(json, origin + ": __metadata__");
  for (const auto& [key, value] : json.items()) out[key] = fields.string_or(key.c_str(), "");
  return out;
}

// The header's length; every later offset is relative to its end.
uint64_t header_bytes(std::span<const uint8_t> file, const std::string& origin) {
  if (file.size() < kLengthBytes) {
    fail(ErrorCode::kBadInput, "{}: {} bytes are too few for a safetensors file", origin,
         file.size());
  }
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > kMaxHeaderBytes) {
    fail(ErrorCode::kBadInput, "{}: the header would have {} bytes; not a safetensors file?",
         origin, length);
  }
  if (length > file.size() - kLengthBytes) {
    fail(ErrorCode::kBadInput,
         "{}: the header needs {} bytes but {} remain; the file is cut or not safetensors", origin,
         length, file.size() - kLengthBytes);
  }
  // So the format demands; a file that is two formats at once begins with something else.
  if (length == 0 || file[kLengthBytes] != '{') {
    fail(ErrorCode::kBadInput, "{}: the header does not start with '{{'; not a safetensors file",
         origin);
  }
  return length;
}

// Puts the tensors in the order of their data, which must be covered without holes or overlap, and
// cuts out their bytes.
void place(std::vector<Entry>& entries, std::span<const uint8_t> data, const std::string& origin) {
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  uint64_t covered = 0;
  for (Entry& entry : entries) {
    if (entry.begin != covered || entry.end > data.size()) {
      fail(ErrorCode::kBadInput,
           "{}: tensor '{}' lies at [{}, {}) of {} data bytes, {} was expected as its start; the "
           "file is cut or damaged",
           origin, printable(entry.view.name), entry.begin, entry.end, data.size(), covered);
    }
    covered = entry.end;
    entry.view.bytes = data.subspan(entry.begin, entry.end - entry.begin);
  }
  if (covered != data.size()) {
    fail(ErrorCode::kBadInput, "{}: {} bytes after the last tensor belong to none", origin,
         data.size() - covered);
  }
}

}  // namespace

SafetensorsContents parse_safetensors(std::span<const uint8_t> bytes, const std::string& origin) {
  const uint64_t header_size = header_bytes(bytes, origin);
  const auto header_text = bytes.subspan(kLengthBytes, header_size);
  const Json header =
      parse_json({reinterpret_cast<const char*>(header_text.data()), header_text.size()}, origin,
                 kMaxHeaderBytes);
  if (!header.is_object()) fail(ErrorCode::kBadInput, "{}: the header is not an object", origin);

  SafetensorsContents out;
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      out.metadata = read_metadata(value, origin);
    } else {
      entries.push_back(read_entry(name, value, origin));
    }
  }
  place(entries, bytes.subspan(kLengthBytes + header_size), origin);
  for (Entry& entry : entries) {
    out.index.emplace(entry.view.name, out.tensors.size());
    out.tensors.push_back(std::move(entry.view));
  }
  return out;
}

}  // namespace tercet
