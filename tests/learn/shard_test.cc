// SPDX-License-Identifier: Apache-2.0
#include "learn/data/shard.h"

#include "formats/support.h"

namespace tercet {
namespace {

using testing::append;
using testing::expect_error;
using testing::read_bytes;
using testing::TemporaryDirectory;
using testing::write_bytes;

class Shard : public ::testing::Test {
 protected:
  // A shard of `ids` in two documents.
  std::string write(uint32_t vocab_size, const std::vector<int32_t>& ids) const {
    ShardWriter writer(path(), vocab_size, 0x1122334455667788);
    writer.append(ids);
    writer.end_document();
    writer.end_document();
    writer.finish();
    return read_bytes(path());
  }
  void expect_refused(const std::string& bytes, const std::string& text,
                      ErrorCode code = ErrorCode::kBadInput) const {
    write_bytes(path(), bytes);
    expect_error(code, text, [&] { ShardReader shard(path()); });
  }
  std::filesystem::path path() const { return directory_.file("train-00000.bin"); }
  TemporaryDirectory directory_;
};

// docs/formats/shards.md, byte by byte.
TEST_F(Shard, HasTheDocumentedBytes) {
  std::string expected = "TCTS";
  append<uint32_t>(expected, 1);
  append<uint32_t>(expected, 2);
  append<uint32_t>(expected, 1000);
  append<uint64_t>(expected, 3);
  append<uint64_t>(expected, 2);
  append<uint64_t>(expected, 0x1122334455667788);
  const std::string tokens("\x05\x00\xE7\x03\x00\x01", 6);
  uint64_t hash = 0xCBF29CE484222325;
  for (const char c : tokens) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3;
  append<uint64_t>(expected, hash);
  expected.resize(64);
  EXPECT_EQ(write(1000, {5, 999, 256}), expected + tokens);
}

TEST_F(Shard, HashIsThePublishedOne) {
  Fnv1a64 hash;
  EXPECT_EQ(hash.value(), 0xCBF29CE484222325u);
  const uint8_t text[] = {'f', 'o', 'o', 'b', 'a', 'r'};
  hash.update(text);
  EXPECT_EQ(hash.value(), 0x85944171F73967E8u);
}

TEST_F(Shard, KeepsIdsOfBothWidths) {
  for (const uint32_t vocab_size : {1u, 65536u, 65537u, 2'000'000'000u}) {
    std::vector<int32_t> ids;
    for (uint64_t i = 0; i < 200'000; ++i) {
      ids.push_back(static_cast<int32_t>(i * 2'654'435'761u % vocab_size));
    }
    ids.push_back(static_cast<int32_t>(vocab_size - 1));
    write(vocab_size, ids);
    const ShardReader shard(path());
    EXPECT_EQ(shard.header().bytes_per_token, vocab_size <= 65536 ? 2u : 4u);
    EXPECT_EQ(shard.header().n_documents, 2u);
    ASSERT_EQ(shard.size(), ids.size());
    shard.verify();
    std::vector<int64_t> copied(ids.size());
    shard.copy(0, ids.size(), copied.data());
    EXPECT_TRUE(std::equal(ids.begin(), ids.end(), copied.begin()));
    EXPECT_EQ(shard.token(777), ids[777]);
    shard.copy(shard.size(), 0, copied.data());
    expect_error(ErrorCode::kInternal, "tokens [",
                 [&] { shard.copy(shard.size() - 1, 2, copied.data()); });
    expect_error(ErrorCode::kInternal, "tokens [",
                 [&] { shard.copy(1, UINT64_MAX, copied.data()); });
  }
}

TEST_F(Shard, WritesNothingUnlessFinished) {
  {
    ShardWriter writer(path(), 10, 0);
    writer.append(std::vector<int32_t>{1, 2});
    expect_error(ErrorCode::kInternal, "token id 10",
                 [&] { writer.append(std::vector<int32_t>{10}); });
    expect_error(ErrorCode::kInternal, "token id -1",
                 [&] { writer.append(std::vector<int32_t>{-1}); });
  }
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(Shard, EveryFlippedByteAndCutIsNoticed) {
  const std::string whole = write(1000, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  for (size_t at = 0; at < whole.size(); ++at) {
    // The number of documents and the fingerprint are compared with dataset.json.
    const bool elsewhere = (at >= 24 && at < 40 && at != 25) || at == 12 || at == 13;
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x04);
    write_bytes(path(), damaged);
    if (elsewhere) continue;
    expect_error(at >= 4 && at < 8 ? ErrorCode::kUnsupported : ErrorCode::kBadInput, "train-00000",
                 [&] { ShardReader(path()).verify(); });
  }
  for (size_t length = 0; length < whole.size(); ++length) {
    expect_refused(whole.substr(0, length), "build the data set again");
  }
  expect_refused(whole + "x", "build the data set again");
}

TEST_F(Shard, CountsThatOverflowAreRefused) {
  std::string bytes = write(1000, {1, 2});
  // 2 bytes times 2^63 + 2 tokens is 4 in 64 bits.
  const uint64_t count = (uint64_t{1} << 63) + 2;
  std::memcpy(bytes.data() + 16, &count, sizeof(count));
  expect_refused(bytes, "its header promises");
}

TEST_F(Shard, IdsOutsideTheVocabularyAreNotDelivered) {
  std::string bytes = write(1000, {1, 2, 3});
  bytes[67] = '\x04';
  write_bytes(path(), bytes);
  const ShardReader shard(path());
  EXPECT_EQ(shard.token(0), 1);
  expect_error(ErrorCode::kBadInput, "outside the vocabulary of 1000", [&] { shard.token(1); });
  std::vector<int64_t> out(3);
  expect_error(ErrorCode::kBadInput, "train-00000.bin", [&] { shard.copy(0, 3, out.data()); });
}

}  // namespace
}  // namespace tercet
