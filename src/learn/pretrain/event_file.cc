// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/event_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstring>
#include <span>
#include <system_error>

#include "core/file.h"

namespace tercet::learn {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kChecksumBytes = 4;
constexpr uint64_t kAround = kLengthBytes + 2 * kChecksumBytes;  // of a record's message

constexpr std::array<uint32_t, 256> make_crc_table() {
  constexpr uint32_t kCastagnoli = 0x82F63B78;  // reflected
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < table.size(); ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kCastagnoli : 0);
    table[byte] = crc;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kCrcTable = make_crc_table();

// A checksum of bytes that hold checksums is weak, so the format turns and shifts them.
uint32_t masked_crc(std::string_view bytes) {
  uint32_t crc = 0xFFFFFFFF;
  for (const char c : bytes) crc = (crc >> 8) ^ kCrcTable[(crc ^ static_cast<uint8_t>(c)) & 0xFF];
  return std::rotr(~crc, 15) + 0xA282EAD8;
}

template <class Number>
void append_raw(std::string& out, Number value) {
  std::array<char, sizeof(Number)> bytes;
  std::memcpy(bytes.data(), &value, sizeof(Number));
  out.append(bytes.data(), bytes.size());
}

// Protocol buffers, as far as an Event needs them.
enum class Wire : uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void append_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7F) | 0x80);
  out += static_cast<char>(value);
}

void append_key(std::string& out, uint64_t field, Wire wire) {
  append_varint(out, field << 3 | static_cast<uint64_t>(wire));
}

void append_bytes(std::string& out, uint64_t field, std::string_view bytes) {
  append_key(out, field, Wire::kBytes);
  append_varint(out, bytes.size());
  out += bytes;
}

// Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; }
std::string event_at(int64_t step) {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  std::string out;
  append_key(out, 1, Wire::kFixed64);
  append_raw(out, std::chrono::duration<double>(since_epoch).count());
  append_key(out, 2, Wire::kVarint);
  append_varint(out, static_cast<uint64_t>(step));
  return out;
}

uint64_t whole_records(const std::filesystem::path& file, uint64_t limit) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return 0;
  const MappedFile mapped(file);
  const std::span<const uint8_t> bytes =
      mapped.bytes().first(std::min<uint64_t>(limit, mapped.bytes().size()));
  uint64_t at = 0;
  while (bytes.size() - at >= kAround) {
    uint64_t length;
    std::memcpy(&length, bytes.data() + at, sizeof(length));
    if (length > bytes.size() - at - kAround) break;
    at += kAround + length;
  }
  return at;
}

}  // namespace

EventFile::EventFile(const std::filesystem::path& file, uint64_t keep_bytes)
    : file_(file, whole_records(file, keep_bytes)) {
  if (file_.bytes() > 0) return;
  std::string event = event_at(0);
  append_bytes(event, 3, "brain.Event:2");
  write_record(event);
}

void EventFile::add(int64_t step,
                    std::initializer_list<std::pair<std::string_view, double>> values) {
  // Summary { repeated Value { string tag = 1; float simple_value = 2; } value = 1; }
  std::string summary;
  for (const auto& [tag, number] : values) {
    std::string value;
    append_bytes(value, 1, tag);
    append_key(value, 2, Wire::kFixed32);
    append_raw(value, static_cast<float>(number));
    append_bytes(summary, 1, value);
  }
  std::string event = event_at(step);
  append_bytes(event, 5, summary);
  write_record(event);
}

void EventFile::write_record(const std::string& message) {
  std::string record;
  append_raw(record, static_cast<uint64_t>(message.size()));
  append_raw(record, masked_crc(record));
  record += message;
  append_raw(record, masked_crc(message));
  file_.append(record);
}

}  // namespace tercet::learn
