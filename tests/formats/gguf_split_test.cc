// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "formats/gguf.h"
#include "formats/support.h"

namespace tercet {
namespace {

using testing::as_bytes;
using testing::expect_error;
using testing::TemporaryDirectory;

class GgufSplit : public ::testing::Test {
 protected:
  std::filesystem::path part(int number, int count = 3, const std::string& prefix = "m") const {
    return directory_.file(fmt::format("{}-{:05}-of-{:05}.gguf", prefix, number, count));
  }

  // One part as llama.cpp's splitter writes it; `number` from 0.
  void write(const std::filesystem::path& path, int number, const std::string& tensor,
             int count = 3, int tensors = 3) const {
    GgufWriter writer(path);
    if (number == 0) writer.set("general.architecture", GgufValue::string("llama"));
    GgufValue no = GgufValue::u32(0);
    no.type = GgufValue::Type::kU16;
    no.value = static_cast<uint64_t>(number);
    writer.set("split.no", no);
    no.value = static_cast<uint64_t>(count);
    writer.set("split.count", no);
    writer.set("split.tensors.count", GgufValue::i32(tensors));
    writer.declare(tensor, DType::kF32, {4});
    const std::vector<float> values(4, static_cast<float>(number));
    writer.write_next(as_bytes(values));
    writer.finish();
  }

  void write_all() const {
    for (int number = 0; number < 3; ++number) {
      write(part(number + 1), number, "t" + std::to_string(number));
    }
  }

  TemporaryDirectory directory_;
};

TEST_F(GgufSplit, AnyPartOpensTheWholeModel) {
  write_all();
  for (int named = 1; named <= 3; ++named) {
    const GgufFile file(part(named));
    EXPECT_EQ(file.parts(), 3u);
    EXPECT_EQ(file.path(), part(named));
    EXPECT_EQ(file.string("general.architecture"), "llama");
    EXPECT_EQ(file.file_bytes(), std::filesystem::file_size(part(1)) +
                                     std::filesystem::file_size(part(2)) +
                                     std::filesystem::file_size(part(3)));
    ASSERT_EQ(file.tensors().size(), 3u);
    for (int number = 0; number < 3; ++number) {
      EXPECT_EQ(to_f32(file.tensor("t" + std::to_string(number))),
                std::vector<float>(4, static_cast<float>(number)));
    }
  }
}

TEST_F(GgufSplit, AMissingPartIsNamed) {
  write_all();
  std::filesystem::remove(part(2));
  expect_error(ErrorCode::kIo, "m-00002-of-00003.gguf' is missing: part 2 of 3",
               [&] { GgufFile file(part(3)); });
}

TEST_F(GgufSplit, PartsThatDoNotBelongTogetherAreRefused) {
  write_all();
  write(part(2), 1, "t0");
  expect_error(ErrorCode::kBadInput, "tensor 't0' is in another part of the model too",
               [&] { GgufFile file(part(1)); });
  write(part(2), 2, "t1");  // says it is the third
  expect_error(ErrorCode::kBadInput, "says it is part 3 of 3", [&] { GgufFile file(part(1)); });
  write(part(2), 1, "t1", 2);  // of another split
  expect_error(ErrorCode::kBadInput, "says it is part 2 of 2", [&] { GgufFile file(part(1)); });
  write(part(2), 1, "t1", 3, 9);
  expect_error(ErrorCode::kBadInput, "with 9 tensors", [&] { GgufFile file(part(1)); });
  for (int number = 0; number < 3; ++number) {
    write(part(number + 1), number, "t" + std::to_string(number), 3, 9);
  }
  expect_error(ErrorCode::kBadInput, "split.tensors.count is 9, but the 3 parts hold 3",
               [&] { GgufFile file(part(1)); });
}

TEST_F(GgufSplit, AWrongNameOrNumberIsRefused) {
  write_all();
  const auto renamed = directory_.file("renamed.gguf");
  std::filesystem::rename(part(1), renamed);
  expect_error(ErrorCode::kBadInput, "its name must end in '-00001-of-00003.gguf'",
               [&] { GgufFile file(renamed); });
  std::filesystem::rename(renamed, part(1));
  write(part(1), 3, "t0");
  expect_error(ErrorCode::kBadInput, "split.no is 3 of 3 parts", [&] { GgufFile file(part(1)); });
  // A file cut from a split of one is whole.
  write(directory_.file("one.gguf"), 0, "t0", 1, 1);
  EXPECT_EQ(GgufFile(directory_.file("one.gguf")).parts(), 1u);
  // Numbers of a wrong type or size.
  GgufWriter writer(directory_.file("odd.gguf"));
  writer.set("split.count", GgufValue::string("3"));
  writer.finish();
  expect_error(ErrorCode::kBadInput, "'split.count' is no number",
               [&] { GgufFile file(directory_.file("odd.gguf")); });
}

}  // namespace
}  // namespace tercet
