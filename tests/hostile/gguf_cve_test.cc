// SPDX-License-Identifier: Apache-2.0
// Attacks on other readers of GGUF, each under the name it was published by.
#include "formats/gguf.h"
#include "formats/support.h"
#include "hostile/allocation_meter.h"
#include "hostile/gguf_bytes.h"

namespace tercet::hostile {
namespace {

using testing::expect_error;

constexpr uint64_t kHuge[] = {uint64_t{1} << 32, uint64_t{1} << 61, UINT64_MAX / 4 + 1,
                              UINT64_MAX - 7, UINT64_MAX};

GgufFile parse(const std::string& bytes) { return GgufFile(as_bytes(bytes), "attack.gguf"); }

// Refused, in words that contain `text`, and before much memory is asked for.
void expect_refused(const std::string& bytes, const std::string& text,
                    ErrorCode code = ErrorCode::kBadInput) {
  // Exactly as long as the file, so that a sanitizer sees a read behind it.
  const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
  const AllocationMeter meter;
  expect_error(code, text, [&] { GgufFile(exact, "attack.gguf"); });
  EXPECT_LT(meter.peak(), size_t{1} << 20);
}

TEST(GgufCve, CVE_2024_21802_MoreDimensionsThanAnyTensorHas) {
  for (const size_t dims : {size_t{5}, size_t{64}}) {
    expect_refused(GgufBytes().tensor("t", std::vector<uint64_t>(dims, 1), kTypeF32, 0).bytes(),
                   "dimensions; at most 4");
  }
  // The count alone, with nothing behind it.
  std::string bytes = GgufBytes().tensor("t", {}, kTypeF32, 0).bytes();
  const std::string count = raw<uint32_t>(UINT32_MAX);
  bytes.replace(bytes.size() - 16, count.size(), count);
  expect_refused(bytes, "dimensions; at most 4");
}

TEST(GgufCve, CVE_2024_21825_ArrayOfStringsLongerThanTheFile) {
  for (const uint64_t count : kHuge) {
    expect_refused(GgufBytes().array("a", Meta::kString, count, counted("x")).bytes(), "'a'");
  }
}

TEST(GgufCve, CVE_2024_21836_MoreTensorsThanTheFile) {
  for (const uint64_t count : kHuge) {
    GgufBytes file;
    file.tensor_count = count;
    expect_refused(file.tensor("t", {1}, kTypeF32, 0).bytes(), "list of tensors");
  }
}

TEST(GgufCve, CVE_2024_23496_StringLongerThanTheFile) {
  for (const uint64_t length : kHuge) {
    expect_refused(GgufBytes().value("s", Meta::kString, raw(length) + "abc").bytes(), "'s'");
    // As a key and as an element of a list.
    expect_refused(GgufBytes().array("l", Meta::kString, 1, raw(length) + "abc").bytes(), "'l'");
    std::string key = GgufBytes().u32("k", 1).bytes();
    key.replace(24, 8, raw(length));
    expect_refused(key, "metadata key");
  }
}

TEST(GgufCve, CVE_2024_23605_MoreKeysThanTheFile) {
  for (const uint64_t count : kHuge) {
    GgufBytes file;
    file.metadata_count = count;
    expect_refused(file.u32("k", 1).bytes(), "list of metadata");
  }
}

TEST(GgufCve, CVE_2024_25667_ArrayOfNumbersLongerThanTheFile) {
  for (const uint64_t count : kHuge) {
    for (const Meta element : {Meta::kU8, Meta::kF32, Meta::kU64, Meta::kBool}) {
      expect_refused(GgufBytes().array("a", element, count, std::string(64, '\0')).bytes(), "'a'");
    }
  }
}

// An error halfway through a list freed strings that were never made.
TEST(GgufCve, CVE_2024_32878_FileCutInsideAnArrayOfStrings) {
  const std::string bytes = GgufBytes().strings("a", {"one", "two", "three"}).bytes();
  for (size_t cut = 24; cut < bytes.size(); ++cut) {
    expect_refused(bytes.substr(0, cut), "attack.gguf");
  }
}

// The bytes of all tensors, each padded, were summed without a check.
TEST(GgufCve, CVE_2025_53630_CVE_2026_27940_SizesWhoseSumOverflows) {
  const uint64_t half = (uint64_t{1} << 61) - 8;  // f32 elements: almost 2^63 bytes
  GgufBytes file;
  file.tensor("a", {half}, kTypeF32, 0).tensor("b", {half}, kTypeF32, half * 4);
  expect_refused(file.tensor("c", {16}, kTypeF32, 0).data(std::string(64, '\0')).bytes(),
                 "cut or damaged");
  expect_refused(GgufBytes().tensor("d", {uint64_t{1} << 62}, kTypeF32, 0).bytes(), "'d'");
  // The bypass: an offset that wraps around with the size.
  expect_refused(
      GgufBytes().tensor("e", {16}, kTypeF32, UINT64_MAX - 31).data(std::string(64, '\0')).bytes(),
      "cut or damaged");
}

TEST(GgufCve, DimensionsWhoseProductOverflows) {
  const uint64_t root = uint64_t{1} << 32;
  expect_refused(GgufBytes().tensor("t", {root, root}, kTypeF32, 0).bytes(), "too many elements");
  // Wraps to a small product.
  expect_refused(GgufBytes().tensor("t", {root, root + 1, 1, 1}, kTypeF32, 0).bytes(),
                 "too many elements");
  expect_refused(GgufBytes().tensor("t", {UINT64_MAX}, kTypeF32, 0).bytes(), "too many elements");
  // Zero times anything is no excuse: another order of the product overflows.
  expect_refused(GgufBytes().tensor("t", {root, root, 0}, kTypeF32, 0).bytes(),
                 "too many elements");
}

// "Bleeding Llama": a tensor that claims more bytes than the file has, read on to the heap.
TEST(GgufCve, CVE_2026_7482_TensorBeyondTheEndOfTheFile) {
  const std::string data(128, '\1');
  EXPECT_EQ(
      parse(GgufBytes().tensor("t", {32}, kTypeF32, 0).data(data).bytes()).tensor("t").bytes.size(),
      128u);
  const auto refuse = [&](uint64_t elements, uint32_t type, uint64_t offset) {
    expect_refused(GgufBytes().tensor("t", {elements}, type, offset).data(data).bytes(),
                   "cut or damaged");
  };
  refuse(33, kTypeF32, 0);
  refuse(32, kTypeF32, 32);
  refuse(1, kTypeF32, 128);
  refuse(1, kTypeF32, uint64_t{1} << 40);
  refuse(128, kTypeQ8_0, 0);
  refuse(512, kTypeTq2_0, 0);
  // No data section at all.
  expect_refused(GgufBytes().tensor("t", {32}, kTypeF32, 0).bytes(), "cut or damaged");
}

TEST(GgufCve, TensorsThatShareBytes) {
  expect_refused(GgufBytes()
                     .tensor("a", {16}, kTypeF32, 0)
                     .tensor("b", {16}, kTypeF32, 32)
                     .data(std::string(96, '\0'))
                     .bytes(),
                 "overlap");
}

TEST(GgufCve, LlamaCpp26318_AlignmentOfAnotherTypeOrSize) {
  const auto refuse = [](const GgufBytes& file) {
    expect_refused(file.bytes(), "general.alignment");
  };
  refuse(GgufBytes().value("general.alignment", Meta::kU64, raw<uint64_t>(32)));
  refuse(GgufBytes().string("general.alignment", "32"));
  refuse(GgufBytes().f32("general.alignment", 32.0f));
  for (const uint32_t alignment : {0u, 1u, 3u, 33u, 1u << 31, UINT32_MAX}) {
    refuse(GgufBytes().u32("general.alignment", alignment));
  }
}

// 43 bytes that kept a reader busy for ever: a huge list of values that take no bytes.
TEST(GgufCve, LlamaCpp27188_SmallFileThatNeverEnds) {
  expect_refused(GgufBytes().array("a", Meta::kArray, UINT64_MAX, "").bytes(), "array of arrays",
                 ErrorCode::kUnsupported);
  // Lists in lists, a recursion of its own.
  std::string nested;
  for (int depth = 0; depth < 10'000; ++depth) nested += raw(Meta::kArray) + raw<uint64_t>(1);
  expect_refused(GgufBytes().value("a", Meta::kArray, nested).bytes(), "array of arrays",
                 ErrorCode::kUnsupported);
}

TEST(GgufCve, LlamaCpp19856_CapsDoNotSlowHonestFiles) {
  std::vector<std::string> tokens;
  for (int i = 0; i < 300'000; ++i) tokens.push_back("token" + std::to_string(i));
  const std::string bytes = GgufBytes().strings("tokenizer.ggml.tokens", tokens).bytes();
  EXPECT_EQ(parse(bytes).strings("tokenizer.ggml.tokens"), tokens);
}

TEST(GgufCve, KeysAndTensorsGivenTwice) {
  expect_refused(GgufBytes().u32("k", 1).u32("k", 2).bytes(), "'k' appears twice");
  expect_refused(GgufBytes()
                     .tensor("t", {8}, kTypeF32, 0)
                     .tensor("t", {8}, kTypeF32, 32)
                     .data(std::string(64, '\0'))
                     .bytes(),
                 "'t' appears twice");
}

// What a program prints about a file must not be the file's own terminal commands.
TEST(GgufCve, NamesInMessagesArePrintable) {
  const auto error = testing::error_of(
      [] { parse(GgufBytes().u32("\x1b[2J\nk", 1).u32("\x1b[2J\nk", 2).bytes()); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(std::string(error->what()).find('\x1b'), std::string::npos);
  EXPECT_EQ(std::string(error->what()).find('\n'), std::string::npos);
  // Also when a key that came from the file is asked for as what it is not.
  const std::string bytes = GgufBytes().u32("a\nb", 1).bytes();
  const GgufFile file = parse(bytes);
  expect_error(ErrorCode::kBadInput, "'a?b' is of type u32", [&] { (void)file.string("a\nb"); });
}

// Lists of the smallest items grow most when they become objects.
TEST(GgufCve, MemoryIsBoundedByTheSizeOfTheFile) {
  const std::string nothing(1 << 20, '\0');
  std::string keys;
  GgufBytes many_keys;
  for (int i = 0; i < 50'000; ++i) many_keys.value(std::to_string(i), Meta::kU8, "x");
  GgufBytes many_tensors;
  for (int i = 0; i < 30'000; ++i) many_tensors.tensor(std::to_string(i), {0}, kTypeF32, 0);
  for (const std::string& bytes :
       {GgufBytes().array("a", Meta::kU8, nothing.size(), nothing).bytes(),
        GgufBytes().array("a", Meta::kString, nothing.size() / 8, nothing).bytes(),
        many_keys.bytes(), many_tensors.data(std::string(32, '\0')).bytes()}) {
    const AllocationMeter meter;
    (void)parse(bytes);
    EXPECT_LT(meter.peak(), allowed_bytes(bytes.size()));
  }
}

}  // namespace
}  // namespace tercet::hostile
