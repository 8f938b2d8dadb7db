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

std::string entry_text(const std::string& name, std::string_view type,
                       const std::vector<int64_t>& shape, uint64_t begin, uint64_t end,
                       const std::string& origin) {
  return fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":{},\"data_offsets\":[{},{}]}}",
                     quoted(name, origin), type, Json(shape).dump(), begin, end);
}

}  // namespace

struct SafetensorsWriter::State {
  explicit State(const std::filesystem::path& path) : target(path.string()), file(path) {}

  std::string target;
  AtomicFile file;
  std::string header = "{";
  std::set<std::string> names = {"__metadata__"};
  uint64_t declared = 0;  // bytes of all tensors
  uint64_t written = 0;
  bool header_written = false;

  void add_entry(const std::string& text) {
    if (header.size() > 1) header += ",";
    header += text;
  }

  void write_header() {
    header += "}";
    // Tensor data starts at a multiple of 8 bytes.
    header.append((8 - header.size() % 8) % 8, ' ');
    uint8_t length[8];
    const uint64_t size = header.size();
    std::memcpy(length, &size, sizeof(length));
    file.write(length);
    file.write(header);
    header_written = true;
  }
};

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& target,
                                     std::map<std::string, std::string> metadata)
    : state_(std::make_unique<State>(target)) {
  if (!metadata.empty()) state_->add_entry(metadata_text(metadata, state_->target));
}

SafetensorsWriter::~SafetensorsWriter() = default;

void SafetensorsWriter::declare(const std::string& name, DType type,
                                const std::vector<int64_t>& shape) {
  State& state = *state_;
  const auto type_name = safetensors_name(type);
  if (!type_name) {
    fail(ErrorCode::kUnsupported, "{}: tensor '{}' is {}, which safetensors cannot hold",
         state.target, name, to_string(type));
  }
  if (state.header_written) {
    fail(ErrorCode::kInternal, "{}: tensor declared after data was written", state.target);
  }
  if (!state.names.insert(name).second) {
    fail(ErrorCode::kInternal, "{}: two tensors named '{}'", state.target, name);
  }
  const TensorView view{name, type, shape, {}};
  const uint64_t end =
      state.declared + row_bytes(type, static_cast<uint64_t>(view.elements()), name);
  state.add_entry(entry_text(name, *type_name, shape, state.declared, end, state.target));
  state.declared = end;
}

void SafetensorsWriter::append(std::span<const uint8_t> bytes) {
  State& state = *state_;
  if (!state.header_written) state.write_header();
  if (bytes.size() > state.declared - state.written) {
    fail(ErrorCode::kInternal, "{}: more bytes written than declared", state.target);
  }
  state.file.write(bytes);
  state.written += bytes.size();
}

void SafetensorsWriter::finish() {
  State& state = *state_;
  if (!state.header_written) state.write_header();
  if (state.written != state.declared) {
    fail(ErrorCode::kInternal, "{}: {} bytes written, {} declared", state.target, state.written,
         state.declared);
  }
  state.file.commit();
}

void write_safetensors(const std::filesystem::path& target, const std::vector<TensorView>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  SafetensorsWriter writer(target, metadata);
  for (const TensorView& tensor : tensors) {
    writer.declare(tensor.name, tensor.type, tensor.shape);
    const uint64_t bytes =
        row_bytes(tensor.type, static_cast<uint64_t>(tensor.elements()), tensor.name);
    if (bytes != tensor.bytes.size()) {
      fail(ErrorCode::kInternal, "{}: tensor '{}' has {} bytes, its shape needs {}",
           target.string(), tensor.name, tensor.bytes.size(), bytes);
    }
  }
  for (const TensorView& tensor : tensors) writer.append(tensor.bytes);
  writer.finish();
}

}  // namespace tercet
