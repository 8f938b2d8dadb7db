// SPDX-License-Identifier: Apache-2.0
//
// Tensor types that the type id alone does not tell.
#include <gtest/gtest.h>

#include "formats/gguf.h"
#include "formats/raw_gguf.h"
#include "formats/support.h"

namespace tercet {
namespace {

using testing::expect_error;
using testing::RawGguf;
using testing::TemporaryDirectory;
using testing::write_bytes;

struct Entry {
  std::string name;
  std::vector<uint64_t> dims;  // innermost first
  uint32_t type;
  uint64_t bytes;  // that it takes in the file
};

class GgufTypes : public ::testing::Test {
 protected:
  // A file with these tensors one after the other, then `tail` bytes.
  GgufFile open(const std::vector<Entry>& entries, uint64_t tail = 0) {
    std::string infos;
    uint64_t offset = 0;
    for (const Entry& entry : entries) {
      infos += RawGguf::tensor(entry.name, entry.dims, entry.type, offset);
      offset = (offset + entry.bytes + 31) / 32 * 32;
    }
    std::string bytes = RawGguf::padded(RawGguf::header(entries.size(), 0) + infos);
    bytes.resize(bytes.size() + offset + tail);
    write_bytes(directory_.file("t.gguf"), bytes);
    return GgufFile(directory_.file("t.gguf"));
  }

  DType type_of(const std::vector<Entry>& entries, const std::string& name) {
    return open(entries).tensor(name).type;
  }

  TemporaryDirectory directory_;
};

TEST_F(GgufTypes, EveryBlockTypeHasItsSize) {
  const std::vector<std::tuple<uint32_t, DType, uint64_t>> types = {
      {2, DType::kQ4_0, 144},  {3, DType::kQ4_1, 160},      {6, DType::kQ5_0, 176},
      {7, DType::kQ5_1, 192},  {8, DType::kQ8_0, 272},      {10, DType::kQ2_K, 84},
      {11, DType::kQ3_K, 110}, {12, DType::kQ4_K, 144},     {13, DType::kQ5_K, 176},
      {14, DType::kQ6_K, 210}, {20, DType::kIq4Nl, 144},    {34, DType::kTq1_0, 54},
      {35, DType::kTq2_0, 66}, {36, DType::kI2S, 96},       {41, DType::kQ1_0, 36},
      {42, DType::kQ2_0, 72},  {142, DType::kQ2_0G128, 68},
  };
  for (const auto& [id, type, bytes] : types) {
    // Seven rows of 256: what comes once per tensor shows.
    const uint64_t whole = type == DType::kI2S ? 7 * 64 + 32 : 7 * bytes;
    const GgufFile file = open({{"t", {256, 7}, id, whole}, {"u", {8}, 0, 32}});
    EXPECT_EQ(file.tensor("t").type, type) << id;
    EXPECT_EQ(file.tensor("t").bytes.size(), whole) << to_string(type);
  }
}

TEST_F(GgufTypes, GroupsOfType42FollowFromTheSize) {
  const Entry end = {"end", {8}, 0, 32};
  EXPECT_EQ(type_of({{"t", {128, 64}, 42, 128 * 18}, end}, "t"), DType::kQ2_0);
  EXPECT_EQ(type_of({{"t", {128, 64}, 42, 64 * 34}, end}, "t"), DType::kQ2_0G128);
  // The last tensor of a file, whose room is what is left.
  EXPECT_EQ(type_of({end, {"t", {128, 64}, 42, 128 * 18}}, "t"), DType::kQ2_0);
  EXPECT_EQ(type_of({end, {"t", {128, 64}, 42, 64 * 34}}, "t"), DType::kQ2_0G128);
  // Rows that only groups of 64 divide.
  EXPECT_EQ(type_of({{"t", {64, 2}, 42, 36}, end}, "t"), DType::kQ2_0);
}

// 128 weights take 36 or 34 bytes: with padding 64 either way.
TEST_F(GgufTypes, OtherTensorsDecideWhereTheSizeDoesNot) {
  const Entry small = {"small", {128}, 42, 36};
  const Entry wide64 = {"wide64", {128, 64}, 42, 128 * 18};
  const Entry wide128 = {"wide128", {128, 64}, 42, 64 * 34};
  const Entry end = {"end", {8}, 0, 32};
  EXPECT_EQ(type_of({small, wide64, end}, "small"), DType::kQ2_0);
  EXPECT_EQ(type_of({small, wide128, end}, "small"), DType::kQ2_0G128);
  expect_error(ErrorCode::kUnsupported,
               "'small': type id 42 (Q2_0) may mean groups of 64 or of 128", [&] {
                 open({small, end});
               });
  expect_error(ErrorCode::kUnsupported, "are of both kinds", [&] {
    open({wide64, small, wide128, end});
  });
  // Without the small one each is what its size says.
  EXPECT_EQ(type_of({wide64, wide128, end}, "wide64"), DType::kQ2_0);
  EXPECT_EQ(type_of({wide64, wide128, end}, "wide128"), DType::kQ2_0G128);
}

TEST_F(GgufTypes, ASizeThatFitsNoDialectIsRefused) {
  const Entry end = {"end", {8}, 0, 32};
  for (const uint64_t bytes :
       {uint64_t{42 * 32}, uint64_t{128 * 18 + 32}, uint64_t{64 * 34 - 32}}) {
    expect_error(ErrorCode::kBadInput, "takes 2304 bytes in groups of 64 or 2176 in groups of 128",
                 [&] {
                   open({{"t", {128, 64}, 42, bytes}, end});
                 });
  }
  expect_error(ErrorCode::kBadInput, "'t': type id 42", [&] {
    open({{"t", {96, 64}, 42, 64}, end});
  });
  // As IQ4_NL_4_4 the id had 18 bytes for 32 weights.
  expect_error(ErrorCode::kBadInput, "once meant IQ4_NL_4_4", [&] {
    open({{"t", {128, 64}, 36, 128 * 64 / 32 * 18}, end});
  });
  expect_error(ErrorCode::kBadInput, "takes 2080 bytes as I2_S, but has room for 2048", [&] {
    open({{"t", {128, 64}, 36, 2048}, end});
  });
}

TEST_F(GgufTypes, WhatFollowsTheLastTensorIsNoPartOfIt) {
  EXPECT_EQ(open({{"t", {128, 64}, 36, 2080}}, 100).tensor("t").bytes.size(), 2080u);
  // Both dialects fit into a longer end; nothing tells which.
  expect_error(ErrorCode::kUnsupported, "do not tell which", [&] {
    open({{"t", {128, 64}, 42, 128 * 18}}, 1000);
  });
}

TEST_F(GgufTypes, WritesWhatItReads) {
  {
    GgufWriter writer(directory_.file("w.gguf"));
    writer.declare("a", DType::kI2S, {3, 128});
    writer.declare("b", DType::kQ2_0, {5, 64});
    std::vector<uint8_t> bytes(3 * 32 + 32, 1);
    for (size_t at = 0; at < bytes.size(); at += 50) {
      writer.append(std::span(bytes).subspan(at, std::min<size_t>(50, bytes.size() - at)));
    }
    bytes.assign(90, 2);
    expect_error(ErrorCode::kInternal, "more were given",
                 [&] { writer.append(std::vector<uint8_t>(91)); });
    writer.append(std::span(bytes).first(89));
    expect_error(ErrorCode::kInternal, "'b' was declared but not written",
                 [&] { writer.finish(); });
    expect_error(ErrorCode::kInternal, "'b' was declared", [&] { writer.write_next(bytes); });
    writer.append(std::span(bytes).last(1));
    writer.finish();
  }
  const GgufFile file(directory_.file("w.gguf"));
  EXPECT_EQ(file.tensor("a").bytes.size(), 128u);
  EXPECT_EQ(file.tensor("a").bytes[127], 1);
  EXPECT_EQ(file.tensor("b").bytes.size(), 90u);
  EXPECT_EQ(file.tensor("b").bytes[89], 2);
  file.release(file.tensor("a"));
  EXPECT_EQ(file.tensor("a").bytes[127], 1);
}

}  // namespace
}  // namespace tercet
