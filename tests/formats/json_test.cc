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

TEST(Json, HandsTablesOverEntryByEntry) {
  std::vector<std::string> seen;
  const JsonTableEntry take = [&](std::string& key, Json& value) {
    seen.push_back(key + "=" + value.dump());
  };
  const std::string text =
      R"({"x":[{"m":{"t":{"n":1}}}],"m":{"k":{"t":2},"t":{"a":1,"a":[2,{"t":[]}],"b":{"c":{}}},
          "l":[3,[4,"5"],{"a":6}],"u":{"t":7}},"t":8})";
  const Json document = parse_json(text, "t", 1 << 20, {{"m.t", take}, {"m.l", take}});
  EXPECT_EQ(seen, (std::vector<std::string>{"a=1", "a=[2,{\"t\":[]}]", "b={\"c\":{}}", "=3",
                                            "=[4,\"5\"]", "={\"a\":6}"}));
  EXPECT_EQ(document, Json::parse(R"({"x":[{"m":{"t":{"n":1}}}],
      "m":{"k":{"t":2},"t":{},"l":[],"u":{"t":7}},"t":8})"));
  // A scalar in a table's place is the document's.
  EXPECT_EQ(parse_json(R"({"m":{"t":1}})", "t", 100, {{"m.t", take}}),
            Json::parse(R"({"m":{"t":1}})"));
}

TEST(Json, BoundsTheValuesOfADocumentNotThoseOfATable) {
  std::string many = "0";
  for (int i = 0; i < 4'000'000; ++i) many += ",0";
  expect_error(ErrorCode::kBadInput, "values", [&] { parse_json("[" + many + "]", "t"); });
  size_t count = 0;
  const JsonTableEntry take = [&](std::string&, Json&) { ++count; };
  parse_json("{\"a\":[" + many + "]}", "t", 64u << 20, {{"a", take}});
  EXPECT_EQ(count, 4'000'001u);
  expect_error(ErrorCode::kBadInput, "values", [&] {
    parse_json("{\"a\":[[" + many + "]]}", "t", 64u << 20, {{"a", take}});
  });
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
