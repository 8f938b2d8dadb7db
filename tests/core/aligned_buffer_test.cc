// SPDX-License-Identifier: Apache-2.0
#include "core/aligned_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "core/error.h"

namespace tercet {
namespace {

constexpr size_t kSizes[] = {1,
                             63,
                             4096,
                             AlignedBuffer::kLargeFrom - 1,
                             AlignedBuffer::kLargeFrom,
                             AlignedBuffer::kLargeFrom + 1,
                             5 * AlignedBuffer::kLargePage + 4097};

bool all_zero(std::span<const uint8_t> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

TEST(AlignedBuffer, IsAlignedZeroedAndWritable) {
  for (const size_t size : kSizes) {
    SCOPED_TRACE(size);
    for (int round = 0; round < 2; ++round) {  // again, where freed memory may come back
      AlignedBuffer buffer(size);
      ASSERT_EQ(buffer.size(), size);
      ASSERT_EQ(buffer.bytes().size(), size);
      const size_t alignment =
          size < AlignedBuffer::kLargeFrom ? AlignedBuffer::kAlignment : AlignedBuffer::kLargePage;
      EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % alignment, 0u);
      EXPECT_TRUE(all_zero(buffer.bytes()));
      std::fill(buffer.bytes().begin(), buffer.bytes().end(), uint8_t{0xA5});
      EXPECT_EQ(buffer.data()[size - 1], 0xA5);
    }
  }
}

TEST(AlignedBuffer, AnEmptyOneHoldsNothing) {
  AlignedBuffer buffer(0);
  EXPECT_EQ(buffer.size(), 0u);
  EXPECT_TRUE(buffer.bytes().empty());
  EXPECT_TRUE(AlignedBuffer().bytes().empty());
}

TEST(AlignedBuffer, MovingHandsTheMemoryOver) {
  for (const size_t size : kSizes) {
    AlignedBuffer first(size);
    first.data()[0] = 7;
    const uint8_t* where = first.data();
    AlignedBuffer second(std::move(first));
    EXPECT_EQ(second.data(), where);
    AlignedBuffer third(10);
    third = std::move(second);
    EXPECT_EQ(third.data(), where);
    EXPECT_EQ(third.data()[0], 7);
    EXPECT_EQ(third.size(), size);
  }
}

TEST(AlignedBuffer, ImpossibleSizesAreRefusedBySize) {
  constexpr size_t kMost = std::numeric_limits<size_t>::max();
  for (const size_t size : {kMost, kMost / 2, size_t{1} << 60}) {
    try {
      AlignedBuffer buffer(size);
      ADD_FAILURE() << size;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kIo);
      EXPECT_NE(std::string(error.what()).find("MiB"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace tercet
