// SPDX-License-Identifier: Apache-2.0
#include "formats/gguf.h"

#include <cmath>

#include "formats/raw_gguf.h"
#include "formats/support.h"

namespace tercet {
namespace {

using testing::append;
using testing::as_bytes;
using testing::expect_error;
using testing::RawGguf;
using testing::read_bytes;
using testing::TemporaryDirectory;
using testing::write_bytes;

class Gguf : public ::testing::Test {
 protected:
  std::filesystem::path path() const { return directory_.file("model.gguf"); }

  void expect_refused(const std::string& bytes, const std::string& text,
                      ErrorCode code = ErrorCode::kBadInput) {
    write_bytes(path(), bytes);
    expect_error(code, text, [&] { GgufFile file(path()); });
    expect_error(code, "model.gguf", [&] { GgufFile file(path()); });
  }
  // A file with `tensors` and `data_bytes` bytes of data.
  void expect_tensors_refused(const std::vector<std::string>& tensors, size_t data_bytes,
                              const std::string& text, ErrorCode code = ErrorCode::kBadInput) {
    std::string bytes = raw_.header(tensors.size(), 0);
    for (const std::string& tensor : tensors) bytes += tensor;
    expect_refused(RawGguf::padded(bytes) + std::string(data_bytes, '\0'), text, code);
  }

  RawGguf raw_;
  TemporaryDirectory directory_;
};

TEST_F(Gguf, ReadsAHandMadeFileOfBothVersions) {
  for (const uint32_t version : {2u, 3u}) {
    std::string bytes = raw_.header(1, 3, version);
    bytes += RawGguf::text("general.architecture");
    append<uint32_t>(bytes, 8);
    bytes += RawGguf::text("llama");
    bytes += RawGguf::entry<uint32_t>("general.alignment", 4, 64);
    bytes += RawGguf::text("list");
    append<uint32_t>(bytes, 9);
    append<uint32_t>(bytes, 2);  // u16
    append<uint64_t>(bytes, 2);
    append<uint16_t>(bytes, 7);
    append<uint16_t>(bytes, 65535);
    bytes += RawGguf::tensor("weights", {3, 2}, 25, 0);
    bytes = RawGguf::padded(bytes, 64);
    for (int16_t value = 0; value < 6; ++value) append<int16_t>(bytes, value);
    write_bytes(path(), bytes);

    const GgufFile file(path());
    EXPECT_EQ(file.version(), version);
    EXPECT_EQ(file.string("general.architecture"), "llama");
    EXPECT_EQ(file.integers("list"), (std::vector<int64_t>{7, 65535}));
    const TensorView& tensor = file.tensor("weights");
    EXPECT_EQ(tensor.shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(tensor.type, DType::kI16);
    ASSERT_EQ(tensor.bytes.size(), 12u);
    EXPECT_EQ(tensor.bytes[10], 5);
    EXPECT_EQ(file.file_bytes(), bytes.size());
  }
}

GgufValue value_of(GgufValue::Type type, decltype(GgufValue::value) value) {
  return {type, GgufValue::Type::kU32, std::move(value)};
}

TEST_F(Gguf, MetadataOfEveryTypeComesBack) {
  using Type = GgufValue::Type;
  GgufWriter writer(path());
  writer.set("u8", value_of(Type::kU8, uint64_t{255}));
  writer.set("i8", value_of(Type::kI8, int64_t{-128}));
  writer.set("u16", value_of(Type::kU16, uint64_t{65535}));
  writer.set("i16", value_of(Type::kI16, int64_t{-32768}));
  writer.set("u32", GgufValue::u32(4294967295u));
  writer.set("i32", GgufValue::i32(-2147483647 - 1));
  writer.set("u64", GgufValue::u64(UINT64_MAX));
  writer.set("i64", value_of(Type::kI64, INT64_MIN));
  writer.set("f32", GgufValue::f32(1e-5f));
  writer.set("f64", value_of(Type::kF64, 0.1));
  writer.set("yes", GgufValue::boolean(true));
  writer.set("text", GgufValue::string("replaced"));
  writer.set("text", GgufValue::string(std::string("a\0b \xC3\xA9", 6)));
  writer.set("texts", GgufValue::strings({"", "x", std::string(1000, 'y')}));
  writer.set("reals", GgufValue::f32s({0.5f, -1e30f}));
  writer.set("ints", GgufValue::i32s({-1, 2}));
  writer.set("empty", GgufValue::strings({}));
  GgufValue flags = value_of(Type::kArray, GgufValue::Array(std::vector<bool>{true, false, true}));
  flags.element_type = Type::kBool;
  writer.set("flags", flags);
  writer.finish();

  const GgufFile file(path());
  EXPECT_EQ(file.metadata().size(), 17u);
  EXPECT_EQ(file.metadata()[0].first, "u8");
  EXPECT_EQ(file.integer("u8"), 255);
  EXPECT_EQ(file.integer("i8"), -128);
  EXPECT_EQ(file.integer("u16"), 65535);
  EXPECT_EQ(file.integer("i16"), -32768);
  EXPECT_EQ(file.integer("u32"), 4294967295);
  EXPECT_EQ(file.integer("i32"), -2147483648);
  EXPECT_EQ(file.integer("i64"), INT64_MIN);
  EXPECT_EQ(std::get<uint64_t>(file.find("u64")->value), UINT64_MAX);
  EXPECT_EQ(file.real("f32"), static_cast<double>(1e-5f));
  EXPECT_EQ(file.real("f64"), 0.1);
  EXPECT_TRUE(file.boolean_or("yes", false));
  EXPECT_EQ(file.string("text"), std::string("a\0b \xC3\xA9", 6));
  EXPECT_EQ(file.strings("texts")[2].size(), 1000u);
  EXPECT_EQ(file.reals("reals")[1], static_cast<double>(-1e30f));
  EXPECT_EQ(file.integers("ints"), (std::vector<int64_t>{-1, 2}));
  EXPECT_TRUE(file.strings("empty").empty());
  const auto& array = std::get<GgufValue::Array>(file.find("flags")->value);
  EXPECT_EQ(std::get<std::vector<bool>>(array), (std::vector<bool>{true, false, true}));
}

TEST_F(Gguf, TypedAccessNamesFileAndKey) {
  GgufWriter writer(path());
  writer.set("text", GgufValue::string("x"));
  writer.set("huge", GgufValue::u64(UINT64_MAX));
  writer.set("ints", GgufValue::i32s({1}));
  writer.finish();
  const GgufFile file(path());
  expect_error(ErrorCode::kBadInput, "model.gguf: metadata 'absent' is missing",
               [&] { (void)file.integer("absent"); });
  expect_error(ErrorCode::kBadInput, "'text' is of type string; an integer",
               [&] { (void)file.integer_or("text", 1); });
  expect_error(ErrorCode::kBadInput, "'huge' is 18446744073709551615",
               [&] { (void)file.integer("huge"); });
  expect_error(ErrorCode::kBadInput, "array of i32", [&] { (void)file.strings("ints"); });
  expect_error(ErrorCode::kBadInput, "a real number", [&] { (void)file.real_or("ints", 0.0); });
  expect_error(ErrorCode::kBadInput, "a boolean", [&] { (void)file.boolean_or("text", true); });
  expect_error(ErrorCode::kBadInput, "tensor 'absent' is missing",
               [&] { (void)file.tensor("absent"); });
  EXPECT_EQ(file.integer_or("absent", -3), -3);
  EXPECT_EQ(file.real_or("absent", 0.5), 0.5);
  EXPECT_EQ(file.string_or("absent", "d"), "d");
}

TEST_F(Gguf, TensorsOfEveryTypeComeBackAligned) {
  const std::vector<std::pair<DType, std::vector<int64_t>>> tensors = {
      {DType::kF32, {3}},         {DType::kF16, {5, 7}},     {DType::kBF16, {1}},
      {DType::kQ8_0, {3, 64}},    {DType::kTq1_0, {2, 256}}, {DType::kTq2_0, {1, 512}},
      {DType::kI8, {2, 3, 5, 7}}, {DType::kI16, {3}},        {DType::kI32, {3}},
      {DType::kI64, {3}},         {DType::kF64, {3}},        {DType::kI8, {0}},
  };
  GgufWriter writer(path());
  std::vector<std::vector<uint8_t>> contents;
  for (const auto& [type, shape] : tensors) {
    const std::string name = "t" + std::to_string(contents.size());
    writer.declare(name, type, shape);
    TensorView view{name, type, shape, {}};
    const auto elements = static_cast<uint64_t>(view.elements());
    contents.emplace_back(row_bytes(type, elements, name));
    for (size_t i = 0; i < contents.back().size(); ++i) {
      contents.back()[i] = static_cast<uint8_t>(i * 37 + contents.size());
    }
  }
  for (const auto& bytes : contents) writer.write_next(bytes);
  EXPECT_FALSE(std::filesystem::exists(path()));
  writer.finish();

  const GgufFile file(path());
  ASSERT_EQ(file.tensors().size(), tensors.size());
  EXPECT_EQ(file.file_bytes() % 32, 0u);
  const std::string all = read_bytes(path());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorView& view = file.tensors()[i];
    EXPECT_EQ(view.type, tensors[i].first);
    EXPECT_EQ(view.shape, tensors[i].second);
    EXPECT_TRUE(
        std::equal(view.bytes.begin(), view.bytes.end(), contents[i].begin(), contents[i].end()));
    if (!view.bytes.empty()) {
      EXPECT_EQ((view.bytes.data() - file.tensors()[0].bytes.data()) % 32, 0) << i;
    }
  }
}

TEST_F(Gguf, WriterRefusesMisuseAndLeavesNothing) {
  const std::vector<float> row(4);
  {
    GgufWriter writer(path());
    writer.declare("a", DType::kF32, {4});
    writer.declare("b", DType::kF32, {4});
    expect_error(ErrorCode::kInternal, "'a' was declared with 16 bytes",
                 [&] { writer.write_next(as_bytes(row).first(12)); });
    expect_error(ErrorCode::kInternal, "declared twice",
                 [&] { writer.declare("a", DType::kF32, {4}); });
  }
  {
    GgufWriter writer(path());
    writer.declare("a", DType::kF32, {4});
    writer.declare("b", DType::kF32, {4});
    writer.write_next(as_bytes(row));
    expect_error(ErrorCode::kInternal, "'b' was declared but not", [&] { writer.finish(); });
    expect_error(ErrorCode::kInternal, "after tensor data",
                 [&] { writer.set("k", GgufValue::u32(1)); });
    writer.write_next(as_bytes(row));
    expect_error(ErrorCode::kInternal, "more tensors", [&] { writer.write_next(as_bytes(row)); });
  }
  {
    GgufWriter writer(path());
    expect_error(ErrorCode::kBadInput, "multiple of 256", [&] {
      writer.declare("t", DType::kTq2_0, {4, 576});
    });
    expect_error(ErrorCode::kBadInput, "1 to 63 bytes",
                 [&] { writer.declare(std::string(64, 'n'), DType::kF32, {4}); });
    expect_error(ErrorCode::kUnsupported, "bool", [&] { writer.declare("t", DType::kBool, {4}); });
    expect_error(ErrorCode::kBadInput, "too large", [&] {
      writer.declare("t", DType::kF32, {INT64_MAX, 2});
    });
    writer.set("k", value_of(GgufValue::Type::kU8, uint64_t{256}));
    expect_error(ErrorCode::kInternal, "metadata 'k'", [&] { writer.finish(); });
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
}

TEST_F(Gguf, SaysWhatTheFileIsInstead) {
  expect_refused("", "empty");
  expect_refused("GG", "not a GGUF file");
  expect_refused("version https://git-lfs.github.com/spec/v1\noid sha256:0", "git-lfs");
  expect_refused("<!DOCTYPE html><html>", "HTML");
  expect_refused(std::string("\x10\0\0\0\0\0\0\0{\"a\":", 13), "safetensors");
  expect_refused(raw_.header(0, 0, 1), "version 1 is not", ErrorCode::kUnsupported);
  expect_refused(raw_.header(0, 0, 4), "version 4 is not", ErrorCode::kUnsupported);
  expect_refused(raw_.header(0, 0, 0x03000000), "big-endian", ErrorCode::kUnsupported);
}

TEST_F(Gguf, RefusesImpossibleCountsBeforeAllocating) {
  expect_refused(raw_.header(UINT64_MAX, 0), "the list of tensors");
  expect_refused(raw_.header(0, UINT64_MAX), "the list of metadata");
  expect_refused(raw_.header(0, 1) + RawGguf::entry<uint64_t>("k", 8, UINT64_MAX), "metadata 'k'");
  for (const uint32_t element : {0u, 6u, 8u, 10u}) {
    std::string bytes = raw_.header(0, 1) + RawGguf::entry<uint32_t>("k", 9, element);
    append<uint64_t>(bytes, UINT64_MAX / 2);
    expect_refused(bytes + "tail", "metadata 'k'");
  }
  std::string name = raw_.header(0, 1);
  append<uint64_t>(name, uint64_t{1} << 60);
  expect_refused(name + std::string(64, 'x'), "a metadata key");
}

TEST_F(Gguf, RefusesBadMetadata) {
  expect_refused(raw_.header(0, 1) + RawGguf::entry<uint32_t>("k", 13, 0), "value type 13");
  expect_refused(raw_.header(0, 1) + RawGguf::entry<uint8_t>("k", 7, 2), "boolean with value 2");
  expect_refused(raw_.header(0, 1) + RawGguf::entry<uint8_t>("", 0, 2), "a metadata key");
  const std::string twice = RawGguf::entry<uint8_t>("same", 0, 1);
  expect_refused(raw_.header(0, 2) + twice + twice, "'same' appears twice");
  std::string nested = raw_.header(0, 1) + RawGguf::entry<uint32_t>("k", 9, 9);
  append<uint64_t>(nested, 0);
  expect_refused(nested, "array of arrays", ErrorCode::kUnsupported);
  for (const uint32_t alignment : {0u, 4u, 33u, 48u, 1u << 21}) {
    expect_refused(raw_.header(0, 1) + RawGguf::entry("general.alignment", 4, alignment),
                   "general.alignment is");
  }
  expect_refused(raw_.header(0, 1) + RawGguf::entry<uint64_t>("general.alignment", 10, 32), "u32");
}

TEST_F(Gguf, RefusesBadTensors) {
  const auto tensor = &RawGguf::tensor;
  const auto f32 = [&](const char* name, uint64_t offset) { return tensor(name, {8}, 0, offset); };
  expect_tensors_refused({tensor("t", {8}, 16, 0)}, 64, "tensor 't' is of type IQ2_XXS (id 16)",
                         ErrorCode::kUnsupported);
  expect_tensors_refused({tensor("t", {8}, 7777, 0)}, 64, "tensor 't' has type id 7777",
                         ErrorCode::kUnsupported);
  expect_tensors_refused({tensor(std::string(65, 'n'), {8}, 0, 0)}, 64, "65 bytes; 1 to 64");
  expect_tensors_refused({tensor("t", {1, 1, 1, 1, 1}, 0, 0)}, 64, "5 dimensions");
  expect_tensors_refused({tensor("t", {1ull << 32, 1ull << 32}, 0, 0)}, 64, "too many elements");
  expect_tensors_refused({tensor("t", {0, 1ull << 63}, 0, 0)}, 64, "too many elements");
  // Empty, but multiplied from the other end it overflows.
  expect_tensors_refused({tensor("t", {1, 0, 1ull << 62, 1ull << 62}, 0, 0)}, 64,
                         "too many elements");
  expect_tensors_refused({tensor("t", {1ull << 62}, 0, 0)}, 64, "overflow");
  expect_tensors_refused({tensor("t", {1, 1ull << 62}, 0, 0)}, 64, "too large");
  expect_tensors_refused({tensor("t", {48}, 8, 0)}, 64, "multiple of 32");
  expect_tensors_refused({tensor("t", {16, 16}, 35, 0)}, 128, "multiple of 256");
  expect_tensors_refused({f32("t", 0)}, 31, "cut or damaged");
  expect_tensors_refused({f32("t", 64)}, 64, "cut or damaged");
  expect_tensors_refused({f32("t", UINT64_MAX - 31)}, 64, "cut or damaged");
  expect_tensors_refused({f32("t", 16)}, 64, "no multiple of the alignment 32");
  expect_tensors_refused({f32("t", 0), f32("t", 32)}, 64, "'t' appears twice");
  expect_tensors_refused({f32("a", 32), f32("b", 32)}, 64, "'a' and 'b' overlap");
  expect_tensors_refused({tensor("a", {9}, 0, 0), f32("b", 32)}, 64, "'a' and 'b' overlap");
}

TEST_F(Gguf, TensorsMayStandInAnyOrderWithGaps) {
  std::string bytes = raw_.header(2, 0) + RawGguf::tensor("late", {2}, 0, 96) +
                      RawGguf::tensor("early", {2}, 0, 32);
  write_bytes(path(), RawGguf::padded(bytes) + std::string(104, '\0'));
  const GgufFile file(path());
  EXPECT_EQ(file.tensor("late").bytes.data() - file.tensor("early").bytes.data(), 64);
}

}  // namespace
}  // namespace tercet
