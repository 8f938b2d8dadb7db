// SPDX-License-Identifier: Apache-2.0
#include "learn/data/corpora.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cmath>

#include "formats/support.h"
#include "learn/data/verification.h"
#include "learn/split_support.h"

namespace tercet {
namespace {

using testing::CountingOptions;
using testing::expect_error;
using testing::read_bytes;
using testing::TemporaryDirectory;
using testing::write_bytes;
using testing::write_counting_dataset;

TEST(DataSource, WeightsFollowTheLastEqualSign) {
  const auto parsed = [](const char* text, const char* path, std::optional<double> weight) {
    EXPECT_EQ(parse_data_source(text), (DataSource{path, weight})) << text;
  };
  parsed("a/", "a/", {});
  parsed("a/=0.7", "a/", 0.7);
  parsed("lr=0.1/data=2e1", "lr=0.1/data", 20);
  parsed("run=0.5=3", "run=0.5", 3);
  parsed("a=b", "a=b", {});
  parsed("a=", "a=", {});
  parsed("a=-1", "a", -1);
  parsed("a=0x10", "a=0x10", {});
  EXPECT_TRUE(std::isnan(*parse_data_source("a=nan").weight));
  EXPECT_TRUE(std::isinf(*parse_data_source("a=1e999").weight));
  // A directory that there is needs no quoting.
  const TemporaryDirectory directory;
  const std::string name = directory.file("rate=0.5");
  EXPECT_EQ(*parse_data_source(name).weight, 0.5);
  std::filesystem::create_directory(name);
  parsed(name.c_str(), name.c_str(), {});
  parsed((name + "=2").c_str(), name.c_str(), 2);
}

TEST(DataSource, WeightsThatMakeNoSenseAreRefusedByName) {
  const auto refused = [](const std::vector<DataSource>& sources, const char* text) {
    expect_error(ErrorCode::kUsage, text, [&] { check_data_sources(sources); });
  };
  for (const double weight : {0.0, -0.5, std::nan(""), HUGE_VAL}) {
    refused({{"a", 1}, {"b", weight}}, "weight of 'b'");
  }
  refused({{"a", 1}, {"b", {}}}, "'b' has no weight");
  refused({{"a", {}}, {"b", 2}}, "'a' has no weight");
  refused({{"a", 1}, {"b", 1}, {"a", 2}}, "'a' is given twice");
  refused({{"", {}}}, "empty");
  check_data_sources(std::vector<DataSource>{{"a", 7}, {"b", 3}});
  check_data_sources(std::vector<DataSource>{{"a", {}}, {"b", {}}});
}

class Corpora : public ::testing::Test {
 protected:
  void put(const char* name, uint64_t tokens, const CountingOptions& options = {}) const {
    write_counting_dataset(path(name), tokens, 0, options);
  }
  std::string path(const char* name) const { return directory_.file(name); }
  std::vector<Corpus> open(const std::vector<DataSource>& sources) const {
    std::vector<DataSource> absolute = sources;
    for (DataSource& source : absolute) source.path = path(source.path.c_str());
    return open_corpora(absolute);
  }
  void refused(const std::vector<DataSource>& sources, const char* text,
               ErrorCode code = ErrorCode::kBadInput) const {
    expect_error(code, text, [&] { open(sources); });
  }
  TemporaryDirectory directory_;
};

TEST_F(Corpora, SharesComeFromWeightsOrSizes) {
  put("a", 3000);
  put("b", 1000);
  const std::vector<Corpus> weighted = open({{"a", 2}, {"b", 6}});
  EXPECT_DOUBLE_EQ(weighted[0].share, 0.25);
  EXPECT_DOUBLE_EQ(weighted[1].share, 0.75);
  const std::vector<Corpus> sized = open({{"a", {}}, {"b", {}}});
  EXPECT_DOUBLE_EQ(sized[0].share, 0.75);
  EXPECT_DOUBLE_EQ(open({{"b", 5}})[0].share, 1);
  EXPECT_EQ(training_splits(weighted)[1].split->size(), 1000u);
  EXPECT_DOUBLE_EQ(training_splits(weighted)[1].weight, 0.75);
}

TEST_F(Corpora, OtherTokenizersAreRefusedByName) {
  put("a", 100);
  CountingOptions options;
  options.tokenizer_fingerprint = 1;
  put("fingerprint", 100, options);
  options = {};
  options.vocab_size = 70'000;
  put("vocabulary", 100, options);
  options = {};
  options.bos = true;
  put("bos", 100, options);
  refused({{"a", {}}, {"fingerprint", {}}}, "fingerprint' was built with another tokenizer");
  refused({{"a", {}}, {"vocabulary", {}}}, "vocabulary' was built with another vocabulary");
  refused({{"a", {}}, {"bos", {}}}, "bos' was built with another setting of add_bos_token");
}

TEST_F(Corpora, UselessDataIsRefusedByName) {
  put("a", 100);
  put("empty", 0);
  refused({{"a", {}}, {"empty", {}}}, "empty' has no training tokens");
  refused({{"a", 1}, {"nowhere", 1}}, "nowhere", ErrorCode::kIo);
  put("b", 100);
  refused({{"a", 1}, {"b", 1e-7}}, "b' would have a share");
}

TEST_F(Corpora, FingerprintsTellWhichDataChanged) {
  put("a", 100);
  put("b", 200);
  const std::vector<DataSource> sources = {{"a", {}}, {"b", {}}};
  const std::string kept = fingerprint_of(open(sources));
  check_fingerprint(open(sources), kept);
  put("b", 201);
  expect_error(ErrorCode::kBadInput, "b' is another data set",
               [&] { check_fingerprint(open(sources), kept); });
  expect_error(ErrorCode::kBadInput, "a' is another data set",
               [&] { check_fingerprint(open(sources), ""); });
  expect_error(ErrorCode::kBadInput, "b' is another data set",
               [&] { check_fingerprint(open(sources), kept.substr(0, 16)); });
}

class Verification : public Corpora {
 protected:
  Verification() {
    CountingOptions options;
    options.validation_tokens = 100;
    put("a", 500, options);
    put("b", 300, options);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path())) {
      set_time(entry.path(), 1'600'000'000);
    }
    options_.record = directory_.file("record.json");
    options_.threads = 2;
  }
  static void set_time(const std::filesystem::path& file, time_t seconds) {
    const timespec times[2] = {{seconds, 0}, {seconds, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
  }
  // How many shards were read.
  uint64_t verify() const {
    uint64_t bytes = 0;
    verify_data(
        open({{"a", {}}, {"b", {}}}), options_,
        [&](const VerifyProgress& progress) {
          bytes = progress.bytes_total;
          EXPECT_LE(progress.bytes_done, progress.bytes_total);
        },
        nullptr);
    return bytes;
  }
  std::filesystem::path shard() const { return directory_.file("b/train-00002.bin"); }
  // Another token, which is as valid.
  void damage() const {
    std::string bytes = read_bytes(shard());
    bytes[70] = static_cast<char>(bytes[70] ^ 1);
    write_bytes(shard(), bytes);
  }
  VerifyOptions options_;
};

TEST_F(Verification, ReadsEverythingOnceAndThenWhatChanged) {
  const uint64_t everything = verify();
  EXPECT_EQ(everything, (500 + 300 + 2 * 100) * 4 + 64 * (8 + 5 + 2 * 2));
  EXPECT_EQ(verify(), 0u);
  set_time(shard(), 1'600'000'001);
  EXPECT_EQ(verify(), 70 * 4 + 64u);
  EXPECT_EQ(verify(), 0u);
  options_.all = true;
  EXPECT_EQ(verify(), everything);
}

TEST_F(Verification, ADamagedShardIsNamed) {
  verify();
  damage();
  for (int again = 0; again < 2; ++again) {
    expect_error(ErrorCode::kBadInput, "b/train-00002.bin' is damaged", [&] { verify(); });
  }
  damage();  // and back
  EXPECT_EQ(verify(), 70 * 4 + 64u);
}

// The price of not reading everything again: said in docs/training.md.
TEST_F(Verification, ADamageThatKeepsTheTimeIsFoundWhenAllIsRead) {
  verify();
  damage();
  set_time(shard(), 1'600'000'000);
  EXPECT_EQ(verify(), 0u);
  options_.all = true;
  expect_error(ErrorCode::kBadInput, "b/train-00002.bin' is damaged", [&] { verify(); });
  // What has been found damaged is no longer trusted.
  options_.all = false;
  expect_error(ErrorCode::kBadInput, "b/train-00002.bin' is damaged", [&] { verify(); });
}

TEST_F(Verification, ADamagedRecordIsNotTrusted) {
  const uint64_t everything = verify();
  const std::string good = read_bytes(options_.record);
  for (const std::string& bad :
       {std::string(), good.substr(0, good.size() / 2), std::string("[1, 2]"),
        std::string(R"({"format": "tercet-verified-data", "shards": {"x": 3}})")}) {
    write_bytes(options_.record, bad);
    EXPECT_EQ(verify(), everything);
    EXPECT_EQ(verify(), 0u);
  }
}

TEST_F(Verification, StoppingKeepsWhatWasRead) {
  const std::atomic<bool> stop = true;
  expect_error(ErrorCode::kInterrupted, "interrupted", [&] {
    verify_data(open({{"a", {}}, {"b", {}}}), options_, {}, &stop);
  });
  EXPECT_TRUE(std::filesystem::exists(options_.record));
  EXPECT_GT(verify(), 0u);
}

}  // namespace
}  // namespace tercet
