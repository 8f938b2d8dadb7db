// SPDX-License-Identifier: Apache-2.0
#include "formats/gguf.h"
#include "formats/gguf_parse.h"
#include "formats/support.h"

namespace tercet {
namespace {

using testing::as_bytes;
using testing::error_of;
using testing::expect_inside;
using testing::read_bytes;
using testing::TemporaryDirectory;

// A file with scalars, lists and tensors of plain and block types.
void write_sample(const std::filesystem::path& path) {
  GgufWriter writer(path);
  writer.set("general.architecture", GgufValue::string("tercet"));
  writer.set("tercet.block_count", GgufValue::u32(2));
  writer.set("tercet.rope.freq_base", GgufValue::f32(10000.0f));
  writer.set("tokenizer.ggml.tokens", GgufValue::strings({"<s>", "", "ab"}));
  writer.set("tokenizer.ggml.scores", GgufValue::f32s({0.0f, -1.0f}));
  writer.set("tokenizer.ggml.token_type", GgufValue::i32s({1, 3}));
  writer.set("flag", GgufValue::boolean(true));
  writer.declare("norm", DType::kF32, {5});
  writer.declare("ternary", DType::kTq2_0, {2, 256});
  writer.declare("matrix", DType::kQ8_0, {3, 32});
  const std::vector<float> norm(5, 1.0f);
  writer.write_next(as_bytes(norm));
  writer.write_next(std::vector<uint8_t>(132, 0x55));
  writer.write_next(std::vector<uint8_t>(102, 0x11));
  writer.finish();
}

class GgufDamage : public ::testing::Test {
 protected:
  GgufDamage() {
    write_sample(directory_.file("good.gguf"));
    good_ = read_bytes(directory_.file("good.gguf"));
  }

  // Parses `bytes`; true when refused. What is accepted must lie inside the file.
  bool refused(const std::string& bytes) {
    // An exact copy on the heap, so that a sanitizer sees a read behind the end.
    const std::vector<uint8_t> copy(bytes.begin(), bytes.end());
    const auto error = error_of([&] {
      const GgufContents contents = parse_gguf(copy, "damaged.gguf");
      EXPECT_LE(contents.tensors.size(), 3u);
      for (const TensorView& tensor : contents.tensors) expect_inside(tensor.bytes, copy);
    });
    if (error) {
      EXPECT_EQ(std::string(error->what()).find('\n'), std::string::npos);
      EXPECT_TRUE(error->code() == ErrorCode::kBadInput || error->code() == ErrorCode::kUnsupported)
          << error->what();
    }
    return error.has_value();
  }

  // Bytes before the tensor data: header, metadata and tensor descriptions.
  size_t description_bytes() const { return good_.size() - (32 + 160 + 128); }

  TemporaryDirectory directory_;
  std::string good_;
};

TEST_F(GgufDamage, TheSampleItselfIsFine) { EXPECT_FALSE(refused(good_)); }

// Only the padding behind the last tensor can be missing without loss.
TEST_F(GgufDamage, EveryCutIsRefused) {
  const size_t needed = good_.size() - 26;
  for (size_t cut = 0; cut < good_.size(); ++cut) {
    EXPECT_EQ(refused(good_.substr(0, cut)), cut < needed) << cut;
  }
}

TEST_F(GgufDamage, EveryFlippedByteIsRefusedOrHarmless) {
  int refusals = 0;
  for (size_t at = 0; at < description_bytes(); ++at) {
    for (const int pattern : {0x01, 0x10, 0x80, 0xFF}) {
      std::string bytes = good_;
      bytes[at] = static_cast<char>(bytes[at] ^ pattern);
      refusals += refused(bytes) ? 1 : 0;
    }
  }
  // Letters of names and payloads may change freely; structure may not.
  EXPECT_GT(refusals, static_cast<int>(description_bytes()));
}

// Lengths and counts are eight bytes: set each window to values that overflow careless arithmetic.
TEST_F(GgufDamage, EveryWindowOfEightBytesSetToExtremes) {
  for (size_t at = 4; at + 8 <= description_bytes(); ++at) {
    for (const uint64_t value :
         {uint64_t{0}, uint64_t{1} << 63, UINT64_MAX, UINT64_MAX - 31, uint64_t{1} << 32}) {
      std::string bytes = good_;
      std::memcpy(bytes.data() + at, &value, sizeof(value));
      refused(bytes);
    }
  }
}

}  // namespace
}  // namespace tercet
