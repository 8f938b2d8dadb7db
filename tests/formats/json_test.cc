// SPDX-License-Identifier: Apache-2.0
#include "formats/json.h"

#include "formats/json_fields.h"
#include "formats/support.h"

namespace tercet {
namespace {

using testing::expect_error;

std::string nested(size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(Json, BuildsTheSameDocumentAsThePlainParser) {
  const std::string text =
      R"({"a":[1,-2,3.5,[],{},[{"x":null},true]],"b":{"c":"\u00e9\n","d":{"e":[[]]}},"":18446744073709551615})";
  EXPECT_EQ(parse_json(text, "t"), Json::parse(text));
  for (const char* scalar : {"3", "\"s\"", "null", "[]", "{}"}) {
    EXPECT_EQ(parse_json(scalar, "t"), Json::parse(scalar));
  }
}

TEST(Json, BoundsDepth) {
  EXPECT_NO_THROW(parse_json(nested(64), "t"));
  expect_error(ErrorCode::kBadInput, "deep", [] { parse_json(nested(65), "t"); });
  // Depth alone must not exhaust the stack or the memory.
  expect_error(ErrorCode::kBadInput, "deep", [] { parse_json(std::string(50'000'000, '['), "t"); });
}

TEST(Json, RefusesDuplicateKeysWhereverTheyAre) {
  expect_error(ErrorCode::kBadInput, "\"k\" appears twice",
               [] { parse_json(R"([{"k":1,"j":{"k":2},"k":3}])", "t"); });
  EXPECT_NO_THROW(parse_json(R"({"k":{"k":{"k":1}},"j":[{"k":1},{"k":1}]})", "t"));
}

TEST(Json, RefusesWhatIsNotJson) {
  for (const char* text : {"", " ", "{", "[1,]", "{\"a\":1,}", "nul", "[1] x", "\"\xff\"", "1e999",
                           "NaN", "[1 2]", "{1:2}", "'a'"}) {
    expect_error(ErrorCode::kBadInput, "origin.json", [&] { parse_json(text, "origin.json"); });
  }
  expect_error(ErrorCode::kBadInput, "more than the 4", [] { parse_json("[1,2]", "t", 4); });
}

TEST(JsonFields, IntegersMustBeIntegers) {
  const Json json = parse_json(
      R"({"real":1.5,"huge":1e30,"text":"12","wide":9223372036854775808,"ok":-7,"nil":null})", "t");
  const JsonFields fields(json, "config.json");
  EXPECT_EQ(fields.integer("ok"), -7);
  EXPECT_EQ(fields.integer_or("nil", 5), 5);
  for (const char* field : {"real", "huge", "text", "wide"}) {
    expect_error(ErrorCode::kBadInput, std::string("config.json: ") + field,
                 [&] { (void)fields.integer(field); });
  }
  expect_error(ErrorCode::kBadInput, "absent is missing", [&] { (void)fields.integer("absent"); });
  expect_error(ErrorCode::kBadInput, "huge", [] {
    const Json big = parse_json(R"({"huge":1e300})", "t");
    (void)JsonFields(big, "t").real_or("huge", 0.0f);
  });
}

}  // namespace
}  // namespace tercet
