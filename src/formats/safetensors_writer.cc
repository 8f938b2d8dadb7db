// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <set>

#include "core/error.h"
#include "formats/json.h"
#include "formats/safetensors.h"
#include "formats/safetensors_dtype.h"

namespace tercet {
namespace {

// Header text is assembled by hand because its order is the caller's, and Json sorts.
std::string quoted(const std::string& text, const std::string& origin) {
  try {
    return Json(text).dump();
  } catch (const Json::exception&) {
    fail(ErrorCode::kBadInput, "{}: a name or value is not UTF-8 text", origin);
  }
}

std::string metadata_text(const std::map<std::string, std::string>& metadata,
                          const std::string& origin) {
  std::string out = "\"__metadata__\":{";
  const char* separator = "";
  for (const auto& [key, value] : metadata) {
    out += separator + quoted(key, origin) + ":" + quoted(value, origin);
    separator = ",";
  }
  return out + "}";
}

std::string entry_text(const TensorView& tensor, uint64_t begin, const std::string& origin) {
  const auto name = safetensors_name(tensor.type);
  if (!name) {
    fail(ErrorCode::kUnsupported, "{}: tensor '{}' is {}, which safetensors cannot hold", origin,
         tensor.name, to_string(tensor.type));
  }
  const uint64_t bytes =
      row_bytes(tensor.type, static_cast<uint64_t>(tensor.elements()), tensor.name);
  if (bytes != tensor.bytes.size()) {
    fail(ErrorCode::kInternal, "{}: tensor '{}' has {} bytes, its shape needs {}", origin,
         tensor.name, tensor.bytes.size(), bytes);
  }
  return fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":{},\"data_offsets\":[{},{}]}}",
                     quoted(tensor.name, origin), *name, Json(tensor.shape).dump(), begin,
                     begin + bytes);
}

std::string header_text(const std::vector<TensorView>& tensors,
                        const std::map<std::string, std::string>& metadata,
                        const std::string& origin) {
  std::string out = "{";
  const char* separator = "";
  if (!metadata.empty()) {
    out += metadata_text(metadata, origin);
    separator = ",";
  }
  std::set<std::string> names = {"__metadata__"};
  uint64_t offset = 0;
  for (const TensorView& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      fail(ErrorCode::kInternal, "{}: two tensors named '{}'", origin, tensor.name);
    }
    out += separator + entry_text(tensor, offset, origin);
    offset += tensor.bytes.size();
    separator = ",";
  }
  out += "}";
  // Tensor data starts at a multiple of 8 bytes.
  out.append((8 - out.size() % 8) % 8, ' ');
  return out;
}

}  // namespace

void write_safetensors(const std::filesystem::path& target, const std::vector<TensorView>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::string header = header_text(tensors, metadata, target.string());
  uint8_t length[8];
  const uint64_t header_size = header.size();
  std::memcpy(length, &header_size, sizeof(length));

  AtomicFile file(target);
  file.write(length);
  file.write(header);
  for (const TensorView& tensor : tensors) file.write(tensor.bytes);
  file.commit();
}

}  // namespace tercet
