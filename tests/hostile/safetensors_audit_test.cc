// SPDX-License-Identifier: Apache-2.0
// The findings of the format's audit (Trail of Bits, 2023) and what its specification demands.
#include "formats/hf_model.h"
#include "formats/safetensors_parse.h"
#include "formats/support.h"
#include "hostile/allocation_meter.h"
#include "hostile/gguf_bytes.h"

namespace tercet::hostile {
namespace {

using testing::expect_error;

std::string file_of(const std::string& header, const std::string& data = "") {
  return raw<uint64_t>(header.size()) + header + data;
}

std::string tensor(const std::string& name, const std::string& shape, const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":"U8","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}";
}

void expect_refused(const std::string& bytes, const std::string& text) {
  const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
  expect_error(ErrorCode::kBadInput, text, [&] { parse_safetensors(exact, "attack.safetensors"); });
}

TEST(SafetensorsAudit, Holes) {
  expect_refused(file_of("{" + tensor("a", "[4]", "[1,5]") + "}", "12345"), "'a'");
  expect_refused(
      file_of("{" + tensor("a", "[4]", "[0,4]") + "," + tensor("b", "[4]", "[5,9]") + "}",
              "123456789"),
      "'b'");
}

TEST(SafetensorsAudit, Overlap) {
  expect_refused(
      file_of("{" + tensor("a", "[4]", "[0,4]") + "," + tensor("b", "[4]", "[0,4]") + "}", "1234"),
      "'b'");
  expect_refused(
      file_of("{" + tensor("a", "[4]", "[0,4]") + "," + tensor("b", "[4]", "[2,6]") + "}",
              "123456"),
      "'b'");
}

// Bytes behind the last tensor make the file another one as well.
TEST(SafetensorsAudit, Polyglot_BytesThatBelongToNoTensor) {
  expect_refused(file_of("{" + tensor("a", "[4]", "[0,4]") + "}", "1234PK\3\4"), "belong to none");
  expect_refused(file_of("{}", "x"), "belong to none");
}

TEST(SafetensorsAudit, Polyglot_HeaderThatDoesNotStartWithABrace) {
  expect_refused(file_of(" {}"), "does not start with '{'");
  expect_refused(file_of("\n{}"), "does not start with '{'");
  expect_refused(file_of("\xEF\xBB\xBF{}"), "does not start with '{'");
  expect_refused(file_of(""), "does not start with '{'");
  EXPECT_NO_THROW(parse_safetensors(as_bytes(file_of("{}   ")), "sound"));
}

TEST(SafetensorsAudit, HeaderAbove100MB) {
  std::string bytes = file_of("{" + std::string(100'000'000, ' '));
  expect_refused(bytes, "header would have 100000001 bytes");
}

TEST(SafetensorsAudit, HeaderLongerThanTheFile) {
  for (const uint64_t length : {uint64_t{3}, uint64_t{1} << 63, UINT64_MAX, UINT64_MAX - 7}) {
    expect_refused(raw(length) + "{}", "header");
  }
}

TEST(SafetensorsAudit, DuplicateKeys) {
  expect_refused(
      file_of("{" + tensor("a", "[1]", "[0,1]") + "," + tensor("a", "[1]", "[1,2]") + "}", "12"),
      "appears twice");
  expect_refused(
      file_of(R"({"a":{"dtype":"U8","dtype":"F32","shape":[1],"data_offsets":[0,1]}})", "1"),
      "appears twice");
}

TEST(SafetensorsAudit, ShapesWhoseProductOverflows) {
  expect_refused(file_of("{" + tensor("a", "[4294967296,4294967296]", "[0,0]") + "}"),
                 "too many elements");
  expect_refused(file_of("{" + tensor("a", "[0,9223372036854775808,2]", "[0,0]") + "}"),
                 "too many elements");
}

TEST(SafetensorsAudit, ShapeThatIsNotItsBytes) {
  expect_refused(file_of("{" + tensor("a", "[5]", "[0,4]") + "}", "1234"), "do not span");
  expect_refused(file_of("{" + tensor("a", "[4]", "[4,0]") + "}", "1234"), "do not span");
}

TEST(SafetensorsAudit, OffsetsBeyondTheFile) {
  expect_refused(file_of("{" + tensor("a", "[4]", "[0,4]") + "}", "123"), "cut or damaged");
}

TEST(SafetensorsAudit, NumbersThatAreNone) {
  for (const char* shape : {"[-1]", "[1.0]", "[1e2]", "[true]", "[\"1\"]", "[[1]]", "{}", "null"}) {
    expect_refused(file_of("{" + tensor("a", shape, "[0,1]") + "}", "1"), "'a'");
  }
}

// Lists of the smallest items grow most when they become objects.
TEST(SafetensorsAudit, MemoryIsBoundedByTheSizeOfTheFile) {
  for (const char* item : {"0,", "[],", "{},", "\"\",", "[[]],"}) {
    std::string list;
    while (list.size() < (1u << 20)) list += item;
    list.pop_back();
    const std::string bytes = file_of("{\"a\":[" + list + "]}");
    const AllocationMeter meter;
    expect_refused(bytes, "'a'");
    EXPECT_LT(meter.peak(), allowed_bytes(bytes.size())) << item;
  }
}

TEST(SafetensorsIndex, ShardsOutsideTheDirectory) {
  for (const char* name : {"../a", "/etc/passwd", "a/b", "..", ".", "", "..\\\\a", "a\\u0000b"}) {
    const Json json =
        parse_json(std::string(R"({"weight_map":{"t":")") + name + "\"}}", "index.json");
    expect_error(ErrorCode::kBadInput, "no plain file name",
                 [&] { weight_map_from_json(json, "index.json"); });
  }
  const Json sound = parse_json(R"({"weight_map":{"t":"model-00001-of-00002.safetensors"}})", "i");
  EXPECT_EQ(weight_map_from_json(sound, "i").at("t"), "model-00001-of-00002.safetensors");
}

}  // namespace
}  // namespace tercet::hostile
