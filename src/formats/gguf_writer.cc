// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <set>
#include <type_traits>
#include <unordered_map>

#include "core/checked.h"
#include "core/error.h"
#include "formats/gguf.h"
#include "formats/gguf_types.h"

namespace tercet {
namespace {

using Type = GgufValue::Type;

struct Declared {
  std::string name;
  uint32_t type_id = 0;
  std::vector<int64_t> shape;
  uint64_t bytes = 0;
  uint64_t offset = 0;
};

uint64_t align_up(uint64_t value) {
  return (value + kGgufDefaultAlignment - 1) / kGgufDefaultAlignment * kGgufDefaultAlignment;
}

template <typename T>
void put(std::string& out, T value) {
  static_assert(std::is_arithmetic_v<T>);
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

void put_string(std::string& out, const std::string& text) {
  put<uint64_t>(out, text.size());
  out += text;
}

// An integer as one of `bytes` bytes; false when it does not fit.
template <typename T>
bool put_integer(std::string& out, T value, uint64_t bytes) {
  char all[sizeof(T)];
  std::memcpy(all, &value, sizeof(T));
  const unsigned spare = static_cast<unsigned>(8 * (sizeof(T) - bytes));
  const T widened = static_cast<T>(static_cast<T>(static_cast<uint64_t>(value) << spare) >> spare);
  out.append(all, bytes);
  return widened == value;
}

// Appends one value of type `type`; false when `value` is not of that type or does not fit.
bool put_one(std::string& out, Type type, int64_t value) {
  const GgufTypeInfo& info = gguf_type_info(type);
  return info.kind == GgufKind::kSigned && put_integer(out, value, info.bytes);
}
bool put_one(std::string& out, Type type, uint64_t value) {
  const GgufTypeInfo& info = gguf_type_info(type);
  return info.kind == GgufKind::kUnsigned && put_integer(out, value, info.bytes);
}
bool put_one(std::string& out, Type type, double value) {
  if (type == Type::kF32) {
    put(out, static_cast<float>(value));
  } else {
    put(out, value);
  }
  return gguf_type_info(type).kind == GgufKind::kReal;
}
bool put_one(std::string& out, Type type, bool value) {
  put<uint8_t>(out, value ? 1 : 0);
  return type == Type::kBool;
}
bool put_one(std::string& out, Type type, const std::string& value) {
  put_string(out, value);
  return type == Type::kString;
}

bool put_array(std::string& out, Type element_type, const GgufValue::Array& array) {
  put(out, static_cast<uint32_t>(element_type));
  return std::visit(
      [&](const auto& values) {
        put<uint64_t>(out, values.size());
        bool fits = true;
        for (const auto& value : values) fits = put_one(out, element_type, value) && fits;
        return fits;
      },
      array);
}

void put_value(std::string& out, const std::string& key, const GgufValue& value) {
  put(out, static_cast<uint32_t>(value.type));
  const bool fits = std::visit(
      [&](const auto& held) {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, GgufValue::Array>) {
          return value.type == Type::kArray && put_array(out, value.element_type, held);
        } else {
          return put_one(out, value.type, held);
        }
      },
      value.value);
  if (!fits) {
    fail(ErrorCode::kInternal, "metadata '{}' holds a value that its type {} cannot", key,
         gguf_type_info(value.type).name);
  }
}

}  // namespace

struct GgufWriter::State {
  explicit State(const std::filesystem::path& path) : target(path.string()), file(path) {}

  std::string target;
  AtomicFile file;
  std::vector<std::pair<std::string, GgufValue>> metadata;
  std::unordered_map<std::string, size_t> metadata_index;
  std::vector<Declared> tensors;
  std::set<std::string> names;
  uint64_t data_bytes = 0;  // of all declared tensors, each padded
  size_t next = 0;          // tensor to be written next
  uint64_t written = 0;     // bytes of it
  bool header_written = false;

  void require_open(const char* action) const {
    if (header_written) {
      fail(ErrorCode::kInternal, "{}: {} after tensor data was written", target, action);
    }
  }

  void pad() {
    static constexpr uint8_t kZeros[kGgufDefaultAlignment] = {};
    file.write(std::span(kZeros).first(align_up(file.size()) - file.size()));
  }

  void write_header() {
    std::string out;
    put(out, kGgufMagic);
    put(out, kGgufVersion);
    put<uint64_t>(out, tensors.size());
    put<uint64_t>(out, metadata.size());
    for (const auto& [key, value] : metadata) {
      put_string(out, key);
      put_value(out, key, value);
    }
    for (const Declared& tensor : tensors) {
      put_string(out, tensor.name);
      put(out, static_cast<uint32_t>(tensor.shape.size()));
      for (auto extent = tensor.shape.rbegin(); extent != tensor.shape.rend(); ++extent) {
        put(out, static_cast<uint64_t>(*extent));
      }
      put(out, tensor.type_id);
      put(out, tensor.offset);
    }
    file.write(out);
    pad();
    header_written = true;
  }
};

GgufWriter::GgufWriter(const std::filesystem::path& target)
    : state_(std::make_unique<State>(target)) {}

GgufWriter::~GgufWriter() = default;

void GgufWriter::set(const std::string& key, GgufValue value) {
  state_->require_open("metadata set");
  if (key == kGgufAlignmentKey) {
    fail(ErrorCode::kInternal, "{}: {} is the writer's own business", state_->target, key);
  }
  const auto [place, is_new] = state_->metadata_index.try_emplace(key, state_->metadata.size());
  if (is_new) {
    state_->metadata.emplace_back(key, std::move(value));
  } else {
    state_->metadata[place->second].second = std::move(value);
  }
}

void GgufWriter::declare(const std::string& name, DType type, const std::vector<int64_t>& shape) {
  State& state = *state_;
  state.require_open("tensor declared");
  const std::string where = state.target + ": tensor '" + name + "'";
  const auto type_id = gguf_type_id(type);
  if (!type_id) {
    fail(ErrorCode::kUnsupported, "{} is {}, which GGUF cannot hold", where, to_string(type));
  }
  if (name.empty() || name.size() > kGgufMaxTensorNameWritten) {
    fail(ErrorCode::kBadInput, "{}: GGUF allows names of 1 to {} bytes", where,
         kGgufMaxTensorNameWritten);
  }
  if (shape.empty() || shape.size() > kGgufMaxDims) {
    fail(ErrorCode::kBadInput, "{}: GGUF allows 1 to {} dimensions, not {}", where, kGgufMaxDims,
         shape.size());
  }

  std::optional<uint64_t> rows = 1;
  for (size_t i = 0; i + 1 < shape.size() && rows; ++i) {
    rows = checked_mul(*rows, static_cast<uint64_t>(shape[i]));
  }
  if (!rows) fail(ErrorCode::kBadInput, "{} is too large", where);
  const uint64_t bytes = tensor_bytes(type, *rows, static_cast<uint64_t>(shape.back()), where);
  if (!state.names.insert(name).second) fail(ErrorCode::kInternal, "{} declared twice", where);
  state.tensors.push_back({name, *type_id, shape, bytes, state.data_bytes});
  state.data_bytes += align_up(bytes);
}

void GgufWriter::write_next(std::span<const uint8_t> bytes) {
  const State& state = *state_;
  if (state.next < state.tensors.size() &&
      (bytes.size() != state.tensors[state.next].bytes || state.written != 0)) {
    fail(ErrorCode::kInternal, "{}: tensor '{}' was declared with {} bytes, {} were given",
         state.target, state.tensors[state.next].name, state.tensors[state.next].bytes,
         bytes.size());
  }
  append(bytes);
}

void GgufWriter::append(std::span<const uint8_t> bytes) {
  State& state = *state_;
  if (state.next == state.tensors.size()) {
    fail(ErrorCode::kInternal, "{}: more tensors written than declared", state.target);
  }
  const Declared& tensor = state.tensors[state.next];
  if (bytes.size() > tensor.bytes - state.written) {
    fail(ErrorCode::kInternal, "{}: tensor '{}' was declared with {} bytes, more were given",
         state.target, tensor.name, tensor.bytes);
  }
  if (!state.header_written) state.write_header();
  state.file.write(bytes);
  state.written += bytes.size();
  if (state.written < tensor.bytes) return;
  state.pad();
  state.written = 0;
  ++state.next;
}

void GgufWriter::finish() {
  State& state = *state_;
  if (state.next != state.tensors.size()) {
    fail(ErrorCode::kInternal, "{}: tensor '{}' was declared but not written", state.target,
         state.tensors[state.next].name);
  }
  if (!state.header_written) state.write_header();
  state.file.commit();
}

}  // namespace tercet
