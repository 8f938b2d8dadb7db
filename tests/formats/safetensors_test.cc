// SPDX-License-Identifier: Apache-2.0
#include "formats/safetensors.h"

#include "formats/safetensors_parse.h"
#include "formats/support.h"

namespace tercet {
namespace {

using testing::append;
using testing::as_bytes;
using testing::error_of;
using testing::expect_error;
using testing::expect_inside;
using testing::read_bytes;
using testing::TemporaryDirectory;
using testing::write_bytes;

std::string file_of(const std::string& header, const std::string& data) {
  std::string out;
  append<uint64_t>(out, header.size());
  return out + header + data;
}

class Safetensors : public ::testing::Test {
 protected:
  std::filesystem::path path() const { return directory_.file("model.safetensors"); }

  void expect_refused(const std::string& header, const std::string& data, const std::string& text,
                      ErrorCode code = ErrorCode::kBadInput) {
    write_bytes(path(), file_of(header, data));
    expect_error(code, text, [&] { SafetensorsFile file(path()); });
  }

  TemporaryDirectory directory_;
};

TEST_F(Safetensors, ReadsAHandMadeFile) {
  // Header order differs from data order; the empty tensor takes no bytes.
  write_bytes(path(), file_of(R"({"b":{"dtype":"I16","shape":[2],"data_offsets":[4,8]},)"
                              R"("__metadata__":{"format":"pt"},)"
                              R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                              R"("e":{"dtype":"F64","shape":[3,0],"data_offsets":[8,8]}}   )",
                              std::string("\0\0\x80\x3f\1\0\2\0", 8)));
  const SafetensorsFile file(path());
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.tensors()[0].name, "a");
  EXPECT_EQ(to_f32(file.tensor("a")), std::vector<float>{1.0f});
  EXPECT_EQ(file.tensor("b").type, DType::kI16);
  EXPECT_EQ(file.tensor("b").bytes[2], 2);
  EXPECT_TRUE(file.tensor("e").bytes.empty());
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.find_tensor("c"), nullptr);
  expect_error(ErrorCode::kBadInput, "tensor 'c' is missing", [&] { (void)file.tensor("c"); });
}

TEST_F(Safetensors, WritesWhatItReads) {
  const std::vector<float> first = {1, 2, 3, 4, 5, 6};
  const std::vector<uint8_t> second = {1, 0, 1};
  const std::vector<TensorView> tensors = {{"z", DType::kF32, {2, 3}, as_bytes(first)},
                                           {"a \"quoted\" \xC3\xA9", DType::kBool, {3}, second},
                                           {"m", DType::kBF16, {0}, {}}};
  write_safetensors(path(), tensors, {{"k", "v\n"}, {"a", ""}});
  const std::string bytes = read_bytes(path());
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  EXPECT_EQ(header % 8, 0u);
  EXPECT_EQ(bytes.size(), 8 + header + 24 + 3);

  const SafetensorsFile file(path());
  ASSERT_EQ(file.tensors().size(), tensors.size());
  for (const TensorView& expected : tensors) {
    const TensorView& actual = file.tensor(expected.name);
    EXPECT_EQ(actual.type, expected.type);
    EXPECT_EQ(actual.shape, expected.shape);
    EXPECT_TRUE(std::equal(actual.bytes.begin(), actual.bytes.end(), expected.bytes.begin(),
                           expected.bytes.end()));
  }
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"k", "v\n"}, {"a", ""}}));

  write_safetensors(path(), tensors, {{"a", ""}, {"k", "v\n"}});
  EXPECT_EQ(read_bytes(path()), bytes);
  write_safetensors(path(), {}, {});
  EXPECT_TRUE(SafetensorsFile(path()).tensors().empty());
}

TEST_F(Safetensors, WriterRefusesWhatTheFormatCannotHold) {
  const std::vector<uint8_t> bytes(34);
  const auto write = [&](const TensorView& a, const TensorView& b) {
    write_safetensors(path(), {a, b}, {});
  };
  const TensorView good = {"a", DType::kU8, {34}, bytes};
  expect_error(ErrorCode::kUnsupported, "q8_0", [&] {
    write(good, {"q", DType::kQ8_0, {32}, bytes});
  });
  expect_error(ErrorCode::kInternal, "'b'", [&] { write(good, {"b", DType::kU8, {33}, bytes}); });
  expect_error(ErrorCode::kInternal, "two tensors", [&] { write(good, good); });
  expect_error(ErrorCode::kBadInput, "UTF-8", [&] {
    write(good, {"\xff", DType::kU8, {34}, bytes});
  });
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
}

TEST_F(Safetensors, RefusesBadHeaders) {
  const std::string four(4, '\0');
  expect_refused("[]", "", "does not start with '{'");
  expect_refused("{", "", "not valid JSON");
  expect_refused(R"({"a":3})", four, "tensor 'a'");
  expect_refused(R"({"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}})", four, "F8_E4M3",
                 ErrorCode::kUnsupported);
  expect_refused(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", four, "shape is missing");
  expect_refused(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", four, "tensor 'a'");
  expect_refused(R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", four, "tensor 'a'");
  expect_refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", four, "two numbers");
  expect_refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", four, "do not span");
  expect_refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", four, "do not span");
  expect_refused(R"({"__metadata__":{"k":1}})", "", "__metadata__");
  expect_refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                 R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                 four + four, "appears twice");
}

TEST_F(Safetensors, RefusesOverflowHolesAndOverlap) {
  const std::string eight(8, '\0');
  expect_refused(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})",
                 eight, "too many elements");
  expect_refused(R"({"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})",
                 eight, "overflow");
  expect_refused(R"({"a":{"dtype":"F32","shape":[0,4611686018427387904,4611686018427387904],)"
                 R"("data_offsets":[0,0]}})",
                 "", "too many elements");
  const auto two = [](const char* first, const char* second) {
    return std::string(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":)") + first +
           R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":)" + second + "}}";
  };
  expect_refused(two("[0,4]", "[0,4]"), eight, "tensor 'b'");
  expect_refused(two("[0,4]", "[3,7]"), eight, "tensor 'b'");
  expect_refused(two("[0,4]", "[5,9]"), eight + eight, "tensor 'b'");
  expect_refused(two("[4,8]", "[8,12]"), eight + eight, "tensor 'a'");
  expect_refused(two("[0,4]", "[4,8]"), eight + "x", "1 bytes after the last tensor");
  expect_refused(two("[0,4]", "[4,8]"), std::string(7, '\0'), "cut or damaged");
}

TEST_F(Safetensors, RefusesAnImpossibleHeaderLength) {
  for (const uint64_t length : {uint64_t{3}, uint64_t{99'999'999}, uint64_t{1} << 40, UINT64_MAX}) {
    std::string bytes;
    append(bytes, length);
    write_bytes(path(), bytes + "{}");
    expect_error(ErrorCode::kBadInput, "model.safetensors", [&] { SafetensorsFile file(path()); });
  }
  write_bytes(path(), "1234567");
  expect_error(ErrorCode::kBadInput, "too few", [&] { SafetensorsFile file(path()); });
}

// Whatever happens to the header, the outcome is an Error or tensors that lie inside the file.
TEST_F(Safetensors, SurvivesEveryFlippedByteAndEveryCut) {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  write_safetensors(path(),
                    {{"a", DType::kF32, {2, 2}, as_bytes(values).first(16)},
                     {"b", DType::kF16, {4}, as_bytes(values).last(8)}},
                    {{"format", "pt"}});
  const std::string good = read_bytes(path());
  int refused = 0;
  const auto try_reading = [&](const std::string& bytes) {
    const std::vector<uint8_t> copy(bytes.begin(), bytes.end());
    const auto error = error_of([&] {
      const SafetensorsContents contents = parse_safetensors(copy, "damaged");
      for (const TensorView& tensor : contents.tensors) expect_inside(tensor.bytes, copy);
    });
    refused += error.has_value() ? 1 : 0;
  };
  for (size_t cut = 0; cut < good.size(); ++cut) try_reading(good.substr(0, cut));
  EXPECT_EQ(refused, static_cast<int>(good.size()));
  for (size_t at = 0; at < good.size(); ++at) {
    for (const int pattern : {0x01, 0x80, 0xFF, 0x20}) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ pattern);
      try_reading(bytes);
    }
  }
}

}  // namespace
}  // namespace tercet
