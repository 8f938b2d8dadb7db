// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "formats/json.h"
#include "learn/data/build.h"
#include "learn/data/dataset.h"
#include "learn/data/split.h"
#include "learn/with_tokenizer.h"
#include "tokenizer/tokenizer.h"

namespace tercet {
namespace {

using testing::expect_error;
using testing::read_bytes;
using testing::some_text;
using testing::TemporaryDirectory;
using testing::write_bytes;

class Dataset : public testing::WithTokenizer {
 protected:
  Dataset() {
    options_.inputs = {directory_.file("corpus")};
    options_.tokenizer = WithTokenizer::tokenizer();
    options_.out = directory_.file("out");
    std::filesystem::create_directories(directory_.file("corpus"));
  }
  // Document `index` of `count` in a file of its own.
  std::string document(int index) const {
    return some_text(500 + 10 * static_cast<size_t>(index), static_cast<uint64_t>(index));
  }
  void put_documents(int count) const {
    for (int i = 0; i < count; ++i) {
      write_bytes(directory_.file(fmt::format("corpus/{:04}.txt", i)), document(i));
    }
  }
  BuildStats build() const { return build_dataset(options_, {}, nullptr); }
  // The documents of a split, decoded; checks BOS and EOS on the way.
  std::vector<std::string> decoded(Split split) const {
    const Tokenizer tokenizer = Tokenizer::load(options_.out);
    const TokenDataset dataset = TokenDataset::open(options_.out, split);
    dataset.verify();
    std::vector<int64_t> tokens(dataset.size());
    dataset.copy(0, dataset.size(), tokens.data());
    std::vector<std::string> documents;
    std::vector<int32_t> ids;
    uint64_t bytes = 0;
    for (const int64_t token : tokens) {
      if (ids.empty()) {
        EXPECT_EQ(token, tokenizer.bos_id());
      }
      ids.push_back(static_cast<int32_t>(token));
      if (token != tokenizer.eos_id()) continue;
      documents.push_back(tokenizer.decode(ids));
      bytes += documents.back().size();
      ids.clear();
    }
    EXPECT_TRUE(ids.empty());
    EXPECT_EQ(dataset.entry().documents, documents.size());
    EXPECT_EQ(dataset.entry().bytes, bytes);
    return documents;
  }

  BuildOptions options_;
};

TEST_F(Dataset, HoldsEveryDocumentOnceInOrder) {
  put_documents(60);
  options_.validation_fraction = 0.2;
  options_.shard_tokens = 999;  // documents continue in the next shard
  options_.corpus.piece_bytes = 100;
  const BuildStats stats = build();
  EXPECT_GT(stats.manifest.train.shards.size(), 10u);
  EXPECT_FALSE(stats.validation_is_cut);
  const std::vector<std::string> train = decoded(Split::kTrain);
  const std::vector<std::string> validation = decoded(Split::kValidation);
  EXPECT_NEAR(static_cast<double>(validation.size()), 12, 9);
  std::vector<std::string> expected[2];
  const SplitRule rule(options_.seed, 0.2);
  for (int i = 0; i < 60; ++i) {
    expected[rule.is_validation(static_cast<uint64_t>(i))].push_back(document(i));
  }
  EXPECT_EQ(train, expected[0]);
  EXPECT_EQ(validation, expected[1]);
}

TEST_F(Dataset, IsTheSameWhateverThePiecesAndThreads) {
  put_documents(30);
  const BuildStats first = build();
  const std::string bytes = read_bytes(options_.out / "train-00000.bin");
  options_.corpus.piece_bytes = 128;
  options_.threads = 3;
  options_.overwrite = true;
  build();
  EXPECT_EQ(read_bytes(options_.out / "train-00000.bin"), bytes);
  EXPECT_EQ(first.manifest.train.shards.size(), 1u);
  options_.seed = 1;
  const BuildStats other = build();
  EXPECT_NE(other.manifest.validation.shards[0].checksum,
            first.manifest.validation.shards[0].checksum);
}

TEST_F(Dataset, BothSplitsGetADocumentWhenThereAreTwo) {
  put_documents(2);
  options_.overwrite = true;
  for (const double fraction : {1e-9, 0.5, 0.999999}) {
    for (uint64_t seed = 0; seed < 5; ++seed) {
      options_.validation_fraction = fraction;
      options_.seed = seed;
      const BuildStats stats = build();
      EXPECT_EQ(stats.manifest.train.documents, 1u);
      EXPECT_EQ(stats.manifest.validation.documents, 1u);
    }
  }
}

TEST_F(Dataset, ASingleDocumentIsCut) {
  options_.overwrite = true;
  options_.corpus.piece_bytes = 300;
  const std::string text = some_text(3000, 5);
  write_bytes(directory_.file("corpus/a.txt"), text);
  for (const double fraction : {0.001, 0.1, 0.3, 0.9}) {
    options_.validation_fraction = fraction;
    EXPECT_TRUE(build().validation_is_cut);
    const std::vector<std::string> train = decoded(Split::kTrain);
    const std::vector<std::string> validation = decoded(Split::kValidation);
    ASSERT_EQ(train.size(), 1u);
    ASSERT_EQ(validation.size(), 1u);
    EXPECT_EQ(train[0] + validation[0], text);
    // Before white space, hence up to a line early.
    EXPECT_NEAR(static_cast<double>(validation[0].size()), 3000 * fraction, 220);
  }
  write_bytes(directory_.file("corpus/a.txt"), "x");  // nothing to cut
  build();
  EXPECT_EQ(decoded(Split::kTrain), std::vector<std::string>{"x"});
}

TEST_F(Dataset, WithoutValidationThatSplitIsEmpty) {
  put_documents(3);
  options_.validation_fraction = 0;
  EXPECT_EQ(build().manifest.train.documents, 3u);
  EXPECT_EQ(TokenDataset::open(options_.out, Split::kValidation).size(), 0u);
}

TEST_F(Dataset, CopiesTheTokenizerAndFollowsItsBosSetting) {
  const std::filesystem::path tokenizer = directory_.file("tokenizer");
  std::filesystem::copy(WithTokenizer::tokenizer(), tokenizer);
  write_bytes(tokenizer / "tokenizer_config.json", R"({"add_bos_token": false})");
  options_.tokenizer = tokenizer / "tokenizer.model";
  put_documents(2);
  EXPECT_FALSE(build().manifest.bos);
  EXPECT_EQ(read_bytes(options_.out / "tokenizer.model"),
            read_bytes(tokenizer / "tokenizer.model"));
  EXPECT_FALSE(Tokenizer::load(options_.out).add_bos());
  EXPECT_NE(TokenDataset::open(options_.out, Split::kTrain).manifest().tokenizer_fingerprint, 0u);
}

TEST_F(Dataset, RefusesImpossibleOptionsAndExistingData) {
  put_documents(2);
  build();
  expect_error(ErrorCode::kUsage, "already holds a data set", [&] { build(); });
  options_.overwrite = true;
  for (const double fraction : {-0.1, 1.0, std::nan("")}) {
    options_.validation_fraction = fraction;
    expect_error(ErrorCode::kUsage, "validation fraction", [&] { build(); });
  }
  options_.validation_fraction = 0.1;
  options_.shard_tokens = 0;
  expect_error(ErrorCode::kUsage, "shard size", [&] { build(); });
  EXPECT_TRUE(std::filesystem::exists(options_.out / "dataset.json"));  // still whole
}

TEST_F(Dataset, TextsThatAreWrongLeaveNothing) {
  put_documents(40);
  options_.shard_tokens = 100;
  options_.validation_fraction = 0.5;
  write_bytes(directory_.file("corpus/zzz.jsonl"), "{\"text\": \"ok\"}\n{}\n");
  expect_error(ErrorCode::kBadInput, "zzz.jsonl:2", [&] { build(); });
  for (const auto& entry : std::filesystem::directory_iterator(options_.out)) {
    const std::string name = entry.path().filename();
    EXPECT_TRUE(name.find("token") != std::string::npos) << name;  // the tokenizer's files
  }
}

TEST_F(Dataset, ReportsProgressUpToTheEnd) {
  put_documents(10);
  BuildProgress last;
  const BuildStats stats = build_dataset(
      options_, [&](const BuildProgress& progress) { last = progress; }, nullptr);
  EXPECT_EQ(last.documents, 10u);
  EXPECT_EQ(last.bytes_read, last.bytes_total);
  EXPECT_EQ(last.tokens, stats.manifest.train.tokens + stats.manifest.validation.tokens);
}

TEST_F(Dataset, ShardsThatAreNotTheListedOnesAreRefused) {
  put_documents(4);
  options_.validation_fraction = 0.3;
  build();
  const std::filesystem::path train = options_.out / "train-00000.bin";
  const std::string shard = read_bytes(train);
  const auto open = [&] { TokenDataset::open(options_.out, Split::kTrain); };
  for (const auto& [offset, field] :
       {std::pair<size_t, const char*>{12, "vocabulary"}, {32, "tokenizer"}, {40, "checksum"}}) {
    std::string other = shard;
    other[offset] = static_cast<char>(other[offset] ^ 1);
    write_bytes(train, other);
    expect_error(ErrorCode::kBadInput, field, open);
  }
  write_bytes(train, read_bytes(options_.out / "val-00000.bin"));
  expect_error(ErrorCode::kBadInput, "differs", open);
  std::filesystem::remove(train);
  expect_error(ErrorCode::kIo, "train-00000.bin", open);
}

TEST_F(Dataset, ADamagedTableOfContentsIsRefusedByField) {
  put_documents(2);
  build();
  const std::filesystem::path path = options_.out / kManifestName;
  const Json good = read_json_file(path);
  const auto expect_refused = [&](const std::string& pointer, const Json& value,
                                  const std::string& text) {
    Json bad = good;
    bad[Json::json_pointer(pointer)] = value;
    write_bytes(path, bad.dump());
    expect_error(ErrorCode::kBadInput, text, [&] { read_manifest(options_.out); });
  };
  expect_refused("/format", "other", "'format'");
  expect_refused("/vocab_size", 0, "'vocab_size'");
  expect_refused("/vocab_size", -3, "'vocab_size'");
  expect_refused("/vocab_size", 1e30, "'vocab_size'");
  expect_refused("/tokenizer_fingerprint", "xyz", "'tokenizer_fingerprint'");
  expect_refused("/bos", 1, "'bos'");
  expect_refused("/train", Json::array(), "'train.'");
  expect_refused("/val/tokens", 1, "'val.tokens'");
  expect_refused("/train/shards", 3, "'train.shards'");
  expect_refused("/train/shards/0/file", "../x.bin", "'train.shards[0].file'");
  expect_refused("/train/shards/0/file", "/etc/passwd", "'train.shards[0].file'");
  expect_refused("/train/shards/0/checksum", "0x00000000000000", "'train.shards[0].checksum'");
  Json cut = good;
  cut["train"].erase("bytes");
  write_bytes(path, cut.dump());
  expect_error(ErrorCode::kBadInput, "'train.bytes' is missing",
               [&] { read_manifest(options_.out); });
}

TEST(SplitRule, HoldsOutTheFractionAskedFor) {
  for (const double fraction : {0.01, 0.1, 0.5}) {
    const SplitRule rule(42, fraction);
    int held_out = 0;
    for (uint64_t i = 0; i < 100'000; ++i) held_out += rule.is_validation(i) ? 1 : 0;
    EXPECT_NEAR(held_out, 100'000 * fraction, 4 * std::sqrt(100'000 * fraction));
  }
}

}  // namespace
}  // namespace tercet
