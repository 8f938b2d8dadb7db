// SPDX-License-Identifier: Apache-2.0
#include "learn/dist/message.h"

#include <charconv>
#include <system_error>

#include "core/error.h"

namespace tercet::learn {
namespace {

constexpr size_t kLargestMessage = size_t{4} << 20;
constexpr size_t kMostFields = 4096;

void append_u32(std::string& bytes, size_t value) {
  for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(value >> shift & 255);
}

// Takes numbers and fields off a message's bytes; every length is checked against what remains.
class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes) : bytes_(bytes) {}

  size_t u32() {
    const std::string_view four = take(4);
    size_t value = 0;
    for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(four[i]);
    return value;
  }
  std::string_view take(size_t count) {
    if (count > bytes_.size()) fail(ErrorCode::kBadInput, "a message ends inside a field");
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }
  bool empty() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
};

}  // namespace

std::string encode(const Message& message) {
  std::string body(1, static_cast<char>(message.kind));
  append_u32(body, message.fields.size());
  for (const std::string& field : message.fields) {
    append_u32(body, field.size());
    body += field;
  }
  if (body.size() > kLargestMessage) {
    fail(ErrorCode::kInternal, "a message of {} bytes is too long", body.size());
  }
  std::string bytes;
  append_u32(bytes, body.size());
  return bytes + body;
}

std::optional<Message> MessageReader::next() {
  if (bytes_.size() < 4) return std::nullopt;
  const size_t length = FieldReader(bytes_).u32();
  if (length < 5 || length > kLargestMessage) {
    fail(ErrorCode::kBadInput, "a message has an impossible length of {}", length);
  }
  if (bytes_.size() - 4 < length) return std::nullopt;
  FieldReader reader(std::string_view(bytes_).substr(4, length));
  const unsigned char kind = static_cast<unsigned char>(reader.take(1)[0]);
  const size_t count = reader.u32();
  const bool known = kind >= static_cast<unsigned char>(MessageKind::kHello) &&
                     kind <= static_cast<unsigned char>(MessageKind::kBye);
  if (!known || count > kMostFields) fail(ErrorCode::kBadInput, "a message of an unknown kind");
  Message message{static_cast<MessageKind>(kind), {}};
  for (size_t i = 0; i < count; ++i) message.fields.emplace_back(reader.take(reader.u32()));
  if (!reader.empty()) fail(ErrorCode::kBadInput, "a message is longer than its fields");
  bytes_.erase(0, 4 + length);
  return message;
}

std::string number_field(int64_t value) { return std::to_string(value); }

int64_t parse_number_field(const Message& message, size_t index) {
  int64_t value = 0;
  if (index < message.fields.size()) {
    const std::string& field = message.fields[index];
    const char* end = field.data() + field.size();
    const auto [rest, error] = std::from_chars(field.data(), end, value);
    if (error == std::errc() && rest == end && !field.empty()) return value;
  }
  fail(ErrorCode::kBadInput, "a message lacks a number");
}

const std::string& text_field(const Message& message, size_t index) {
  if (index >= message.fields.size()) fail(ErrorCode::kBadInput, "a message lacks a text");
  return message.fields[index];
}

}  // namespace tercet::learn
