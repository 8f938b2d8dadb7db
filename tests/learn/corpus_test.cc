// SPDX-License-Identifier: Apache-2.0
#include "learn/data/corpus.h"

#include <zlib.h>
#include <zstd.h>

#include "learn/data_support.h"

namespace tercet {
namespace {

using testing::expect_error;
using testing::read_documents;
using testing::some_text;
using testing::TemporaryDirectory;
using testing::write_bytes;

using Documents = std::vector<std::string>;

std::string gzipped(const std::string& text) {
  std::string out(compressBound(text.size()) + 64, '\0');
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string input = text;
  stream.next_in = reinterpret_cast<Bytef*>(input.data());
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstandard(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

class Corpus : public ::testing::Test {
 protected:
  std::filesystem::path put(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories(directory_.file(name).parent_path());
    write_bytes(directory_.file(name), bytes);
    return directory_.file(name);
  }
  Documents read(const std::string& name, const std::string& bytes) const {
    return read_documents({put(name, bytes)}, options_);
  }
  void expect_refused(const std::string& name, const std::string& bytes,
                      const std::string& text) const {
    expect_error(ErrorCode::kBadInput, text, [&] { read(name, bytes); });
  }
  TemporaryDirectory directory_;
  CorpusOptions options_;
};

TEST_F(Corpus, AFileIsADocument) {
  EXPECT_EQ(read("a.txt", "one\r\ntwo\n"), Documents{"one\r\ntwo\n"});
  EXPECT_EQ(read("a.md", "\xEF\xBB\xBFtext"), Documents{"text"});
  EXPECT_EQ(read("a", "broken \xFF utf-8"), Documents{"broken \xFF utf-8"});
}

TEST_F(Corpus, MarkersDivideDocuments) {
  EXPECT_EQ(read("a.txt", "one\n<|endoftext|>\ntwo<|endoftext|>three\r\n<|endoftext|>\r\n\nfour"),
            (Documents{"one", "two", "three", "\nfour"}));
  EXPECT_EQ(read("a.txt", "<|endoftext|>\n\n<|endoftext|>only<|endoftext|> \n"), Documents{"only"});
  EXPECT_EQ(read("a.txt", "<|endoftext| > <|end"), Documents{"<|endoftext| > <|end"});
}

// Pieces of 64 bytes put the cuts, and the ends of the buffer, everywhere.
TEST_F(Corpus, PiecesLoseNothingWhereverTheyAreCut) {
  options_.piece_bytes = 64;
  for (size_t shift = 0; shift < 150; ++shift) {
    const std::string first = std::string(shift, 'x') + some_text(300, shift);
    const std::string second =
        "\n\n  " + std::string(200, 'y') + "\n \n" + some_text(100, shift) + "\n";
    const std::string bytes = first + "\n<|endoftext|>\n" + second;
    ASSERT_EQ(read("a.txt", bytes), (Documents{first, second})) << shift;
  }
}

TEST_F(Corpus, PiecesAreCutBeforeWhiteSpaceAndBetweenCharacters) {
  options_.piece_bytes = 64;
  std::string text = some_text(2000, 0);
  for (int i = 0; i < 500; ++i) text += "\u4e2d";
  CorpusReader reader({put("a.txt", text)}, options_);
  DocumentPiece piece;
  int pieces = 0;
  for (; reader.next(piece); ++pieces) {
    EXPECT_LE(piece.text.size(), 2 * 64u);
    if (piece.first) continue;
    const auto lead = static_cast<uint8_t>(piece.text[0]);
    EXPECT_TRUE(lead == ' ' || lead == '\n' || lead == 0xE4) << piece.text;
  }
  EXPECT_GT(pieces, 20);
}

TEST_F(Corpus, JsonLinesHoldADocumentEach) {
  const std::string lines =
      "\xEF\xBB\xBF{\"text\": \"one\\n\", \"id\": 1}\r\n\n{\"text\":\"\\u4e2d\"}\n"
      "{\"text\": \"  \"}\n{\"text\": \"last\"}";
  EXPECT_EQ(read("a.jsonl", lines), (Documents{"one\n", "\u4e2d", "last"}));
  EXPECT_EQ(read("a.json", lines), (Documents{"one\n", "\u4e2d", "last"}));
  options_.text_field = "body";
  EXPECT_EQ(read("b.jsonl", "{\"body\": \"x\", \"text\": 3}"), Documents{"x"});
}

TEST_F(Corpus, LongJsonTextsComeInPieces) {
  options_.piece_bytes = 64;
  const std::string text = some_text(1000, 1);
  std::string escaped = text;
  for (size_t at = 0; (at = escaped.find('\n', at)) != std::string::npos; at += 2) {
    escaped.replace(at, 1, "\\n");
  }
  const std::string line = "{\"text\": \"" + escaped + "\"}\n";
  EXPECT_EQ(read("a.jsonl", line + line), (Documents{text, text}));
}

TEST_F(Corpus, BadJsonLinesAreNamedByFileAndLine) {
  expect_refused("a.jsonl", "{\"text\": \"x\"}\n{\"text\": \n", "a.jsonl:2");
  expect_refused("a.jsonl", "\n\n{\"body\": \"x\"}\n", "a.jsonl:3: no field 'text'");
  expect_refused("a.jsonl", "{\"text\": 5}\n", "a.jsonl:1: the field 'text' is not a string");
  expect_refused("a.jsonl", "[1]\n", "a.jsonl:1: this line is not a JSON object");
  expect_refused("a.jsonl", "{\"text\": \"\xFF\"}\n", "a.jsonl:1");
  expect_refused("a.jsonl", std::string("{\"text\": \"\0\"}\n", 14), "zero bytes");
  expect_refused("a.jsonl", "{\"text\": " + std::string(500, '[') + "\n", "a.jsonl:1");
  options_.max_line_bytes = 1000;
  expect_refused("a.jsonl", "{}" + std::string(1'000'000, ' '), "longer than 1000 bytes");
}

TEST_F(Corpus, PackedFilesReadAsTheirText) {
  const std::string text = some_text(700'000, 2);
  const std::string lines = "{\"text\": \"x\"}\n{\"text\": \"y\"}\n";
  EXPECT_EQ(read("a.txt.gz", gzipped(text)), Documents{text});
  EXPECT_EQ(read("a.txt.zst", zstandard(text)), Documents{text});
  EXPECT_EQ(read("a.jsonl.gz", gzipped(lines)), (Documents{"x", "y"}));
  EXPECT_EQ(read("a.jsonl.zst", zstandard(lines)), (Documents{"x", "y"}));
  // Members one after another are one text.
  EXPECT_EQ(read("b.txt.gz", gzipped(text) + gzipped("end")), Documents{text + "end"});
  EXPECT_EQ(read("b.txt.zst", zstandard(text) + zstandard("end")), Documents{text + "end"});
  // A megabyte of the same letter unpacks from one input buffer over many calls.
  const std::string same(1 << 20, 'z');
  EXPECT_EQ(read("c.txt.gz", gzipped(same)), Documents{same});
  EXPECT_EQ(read("c.txt.zst", zstandard(same)), Documents{same});
}

TEST_F(Corpus, CutOrDamagedPackingIsRefused) {
  const std::string text = some_text(3000, 3);
  const std::string packed[] = {gzipped(text), zstandard(text)};
  const char* names[] = {"a.txt.gz", "a.txt.zst"};
  for (int i = 0; i < 2; ++i) {
    for (size_t length = 0; length < packed[i].size(); length += 7) {
      expect_refused(names[i], packed[i].substr(0, length), "compressed data");
    }
    expect_refused(names[i], packed[i].substr(0, packed[i].size() - 1), "compressed data");
    expect_refused(names[i], text, "damaged compressed data");
    expect_refused(names[i], packed[i] + "garbage", "compressed data");
  }
  std::string damaged = packed[0];
  damaged[damaged.size() - 6] ^= 1;  // gzip's checksum
  expect_refused("a.txt.gz", damaged, "damaged compressed data");
}

TEST_F(Corpus, DirectoriesAreWalkedInOrderWithoutHiddenFiles) {
  put("d/b.txt", "two");
  put("d/a/z.txt", "one");
  put("d/c.jsonl", "{\"text\": \"three\"}");
  put("d/.hidden.txt", "no");
  put("d/.git/config", "no");
  std::filesystem::create_symlink("nowhere", directory_.file("d/dangling"));
  const std::filesystem::path first = put("first.txt", "zero");
  EXPECT_EQ(read_documents({first, directory_.file("d")}),
            (Documents{"zero", "one", "two", "three"}));
}

TEST_F(Corpus, EmptyMissingAndBinaryInputsAreRefused) {
  std::filesystem::create_directories(directory_.file("empty"));
  expect_error(ErrorCode::kBadInput, "corpus is empty",
               [&] { read_documents({directory_.file("empty")}); });
  expect_refused("a.txt", "", "corpus is empty");
  expect_refused("a.txt", " \n<|endoftext|>\n", "corpus is empty");
  expect_refused("a.jsonl", "\n{\"text\": \"\"}\n", "corpus is empty");
  expect_refused("picture.txt", std::string("abc\0def", 7), "picture.txt");
  expect_error(ErrorCode::kIo, "absent.txt",
               [&] { read_documents({directory_.file("absent.txt")}); });
  expect_error(ErrorCode::kIo, "not a regular file", [&] { read_documents({"/dev/null"}); });
}

}  // namespace
}  // namespace tercet
