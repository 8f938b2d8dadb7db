// SPDX-License-Identifier: Apache-2.0
#include "learn/dist/message.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/rng.h"
#include "learn/dist/key_values.h"

namespace tercet::learn {
namespace {

TEST(Message, ArrivesInPieces) {
  const Message sent{MessageKind::kRequest, {"set", "", std::string("a\0b", 3)}};
  const std::string bytes = encode(sent) + encode({MessageKind::kBeat, {}});
  MessageReader reader;
  std::vector<Message> received;
  for (const char byte : bytes) {
    reader.append({&byte, 1});
    while (auto message = reader.next()) received.push_back(*message);
  }
  ASSERT_EQ(received.size(), 2u);
  EXPECT_EQ(received[0].kind, sent.kind);
  EXPECT_EQ(received[0].fields, sent.fields);
  EXPECT_EQ(received[1].kind, MessageKind::kBeat);
  EXPECT_TRUE(received[1].fields.empty());
}

TEST(Message, MissingFieldsAreRefused) {
  const Message message{MessageKind::kOver, {"7"}};
  EXPECT_EQ(parse_number_field(message, 0), 7);
  EXPECT_EQ(text_field(message, 0), "7");
  EXPECT_THROW(parse_number_field(message, 1), Error);
  EXPECT_THROW(text_field(message, 1), Error);
}

TEST(Message, NonsenseIsRefused) {
  const std::string good = encode({MessageKind::kRequest, {"get", "key"}});
  // Too short, too long, of no kind, with more fields than fit, with a field that is too long or
  // with bytes behind the last one.
  const std::vector<std::pair<size_t, char>> changes = {{0, 2}, {3, 1},  {4, 0},    {4, 99}, {5, 9},
                                                        {8, 1}, {9, 99}, {12, 127}, {0, 17}};
  for (const auto& [at, value] : changes) {
    std::string bytes = good;
    bytes[at] = value;
    MessageReader reader;
    reader.append(bytes);
    EXPECT_THROW(reader.next(), Error) << at;
  }
  MessageReader web;
  web.append("GET / HTTP/1.1\r\n\r\n");
  EXPECT_THROW(web.next(), Error);
}

TEST(Message, RandomBytesNeverReadBeyondTheirEnd) {
  Rng rng(5);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = encode({MessageKind::kHello, {"1", "22", "333"}});
    for (int change = 0; change < 3; ++change) {
      bytes[static_cast<size_t>(rng.uniform() * static_cast<double>(bytes.size()))] =
          static_cast<char>(rng.uniform() * 256);
    }
    MessageReader reader;
    reader.append(bytes);
    try {
      while (reader.next()) {
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    }
  }
}

TEST(KeyValues, Operations) {
  KeyValues store;
  const auto ask = [&](std::vector<std::string> fields) {
    return store.perform({MessageKind::kRequest, std::move(fields)});
  };
  using Fields = std::vector<std::string>;
  EXPECT_EQ(ask({"get", "a"}), Fields{});
  EXPECT_EQ(ask({"set", "a", "x"}), Fields{});
  EXPECT_EQ(ask({"get", "a"}), Fields{"x"});
  EXPECT_EQ(ask({"check", "a"}), Fields{"1"});
  EXPECT_EQ(ask({"check", "a", "b"}), Fields{"0"});
  EXPECT_EQ(ask({"add", "n", "2"}), Fields{"2"});
  EXPECT_EQ(ask({"add", "n", "-5"}), Fields{"-3"});
  EXPECT_EQ(ask({"compare_set", "a", "y", "z"}), Fields{"x"});
  EXPECT_EQ(ask({"compare_set", "a", "x", "z"}), Fields{"z"});
  EXPECT_EQ(ask({"compare_set", "new", "x", "z"}), Fields{"x"});
  EXPECT_EQ(ask({"check", "new"}), Fields{"0"});
  EXPECT_EQ(ask({"compare_set", "new", "", "z"}), Fields{"z"});
  EXPECT_EQ(ask({"count"}), Fields{"3"});
  EXPECT_EQ(ask({"delete", "new"}), Fields{"1"});
  EXPECT_EQ(ask({"delete", "new"}), Fields{"0"});
  for (const Fields& wrong :
       {Fields{}, {"get"}, {"set", "a"}, {"drop", "a"}, {"add", "n", "x"}, {"add", "a", "1"}}) {
    EXPECT_THROW(ask(wrong), Error);
  }
}

}  // namespace
}  // namespace tercet::learn
