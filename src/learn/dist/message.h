// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tercet::learn {

// What ranks and the coordinator tell each other; fields in brackets.
enum class MessageKind : uint8_t {
  kHello = 1,  // rank: [protocol, rank, ranks, host, process, machine, cores]
  kWelcome,    // coordinator, once all ranks are there: [local rank, ranks on the same cores]
  kBeat,       // both, every second: []
  kRequest,    // rank: [operation, arguments...]
  kReply,      // coordinator: [results...]
  kFailed,     // rank: [error code, message]; the run cannot go on
  kOver,       // coordinator: [error code, message]; the run ends for all
  kBye,        // rank: []; it is done, and the end of its connection no loss
};
inline constexpr int64_t kProtocol = 1;

struct Message {
  MessageKind kind;
  std::vector<std::string> fields;
};

// The bytes of a message: length of the rest, kind, number of fields, and each field's length and
// bytes; numbers are 32 bits, little-endian.
std::string encode(const Message& message);

// Cuts a stream of bytes into messages. What arrives is not trusted: anyone may connect.
class MessageReader {
 public:
  void append(std::string_view bytes) { bytes_ += bytes; }
  // The next whole message, if there is one. Throws kBadInput for what is none of ours.
  std::optional<Message> next();

 private:
  std::string bytes_;
};

// Numbers as fields. Throws kBadInput when it is none.
std::string number_field(int64_t value);
int64_t parse_number_field(const Message& message, size_t index);
// Throws kBadInput when the message has no such field.
const std::string& text_field(const Message& message, size_t index);

}  // namespace tercet::learn
