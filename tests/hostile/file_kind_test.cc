// SPDX-License-Identifier: Apache-2.0
// What people take for a model: each is refused with the reason and what to do.
#include "formats/file_kind.h"

#include "formats/support.h"
#include "hostile/gguf_bytes.h"

namespace tercet::hostile {
namespace {

using testing::TemporaryDirectory;
using testing::write_bytes;

FileKind kind_of(const std::string& bytes) { return describe_file(as_bytes(bytes)).kind; }

// A zip file as torch.save() writes it: the first member is <name>/data.pkl.
std::string torch_archive() {
  const std::string name = "archive/data.pkl";
  return "PK\3\4" + std::string(22, '\0') + raw<uint16_t>(static_cast<uint16_t>(name.size())) +
         raw<uint16_t>(0) + name + "\x80\2}q\0.";
}

TEST(FileKind, WhatModelsConsistOf) {
  EXPECT_EQ(kind_of(GgufBytes().u32("k", 1).bytes()), FileKind::kGguf);
  EXPECT_EQ(kind_of(raw<uint64_t>(2) + "{}"), FileKind::kSafetensors);
  EXPECT_EQ(kind_of(raw<uint64_t>(40) + R"({"__metadata__":{"format":"pt"},"a":{}})" + "."),
            FileKind::kSafetensors);
  EXPECT_EQ(kind_of(R"({"model_type": "llama"})"), FileKind::kJson);
  EXPECT_EQ(kind_of("\x0A\x0E\x0A\x05<unk>\x15" + std::string(4, '\0') + "\x18\2"),
            FileKind::kSentencePiece);
}

TEST(FileKind, BitNet366_PicklesAreNamedAndNeverOpened) {
  for (const std::string& bytes :
       {torch_archive(), std::string("\x80\x02\x8a\x0a"), std::string("\x80\x04\x95")}) {
    const FileDescription found = describe_file(as_bytes(bytes));
    EXPECT_EQ(found.kind, FileKind::kPickle);
    EXPECT_NE(explain(found).find("run code"), std::string::npos);
  }
}

TEST(FileKind, FailedDownloads) {
  EXPECT_EQ(kind_of(""), FileKind::kEmpty);
  EXPECT_EQ(kind_of(std::string(5000, '\0')), FileKind::kZeros);
  EXPECT_EQ(kind_of("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n"),
            FileKind::kGitLfsPointer);
  EXPECT_EQ(kind_of("\n <!DOCTYPE html><html>"), FileKind::kHtml);
  EXPECT_EQ(kind_of("<HTML><body>404"), FileKind::kHtml);
  EXPECT_EQ(kind_of("<?xml version=\"1.0\"?><Error>"), FileKind::kXml);
  const FileDescription text = describe_file(as_bytes("Entry not found\n\x1b[2J"));
  EXPECT_EQ(text.what, "of no kind that is known here");
  EXPECT_EQ(explain(describe_file(as_bytes("Entry not found\n"))),
            "it is text that begins with 'Entry not found'; the download has failed, fetch the "
            "file again");
}

TEST(FileKind, ArchivesAndOtherFormats) {
  for (const std::string& bytes :
       {std::string("\x1F\x8B\x08"), std::string("\x28\xB5\x2F\xFD"), std::string("BZh9"),
        std::string("\xFD"
                    "7zXZ\0",
                    6),
        std::string("PK\3\4") + std::string(30, '\0'),
        std::string(257, 'n') + "ustar\0" + std::string(249, '\0')}) {
    EXPECT_EQ(kind_of(bytes), FileKind::kArchive) << bytes;
  }
  EXPECT_EQ(kind_of("tjgg"), FileKind::kOldGgml);
  EXPECT_EQ(kind_of("FUGG"), FileKind::kBigEndianGguf);
  EXPECT_EQ(kind_of("\x93NUMPY"), FileKind::kOtherWeights);
  EXPECT_EQ(kind_of("\xDE\xAD\xBE\xEF"), FileKind::kUnknown);
}

// Every cut of something is something, and its name fits a one-line message.
TEST(FileKind, AnyBytes) {
  for (const std::string& bytes : {torch_archive(), GgufBytes().u32("k", 1).bytes(),
                                   raw<uint64_t>(2) + "{}", std::string("<html>\n\x7f")}) {
    for (size_t cut = 0; cut <= bytes.size(); ++cut) {
      const std::string words = explain(describe_file(as_bytes(bytes.substr(0, cut))));
      EXPECT_EQ(words.find('\n'), std::string::npos);
      EXPECT_TRUE(words.starts_with("it is "));
    }
  }
}

TEST(FileKind, DirectoriesWithoutConfig) {
  const auto words_for = [](const std::vector<std::string>& names) {
    const TemporaryDirectory directory;
    for (const std::string& name : names) write_bytes(directory.file(name), "x");
    return explain_directory(directory.path());
  };
  EXPECT_EQ(words_for({}), "it is empty");
  EXPECT_EQ(words_for({"b.gguf", "a.gguf"}), "it holds 'a.gguf'; give that file");
  EXPECT_NE(words_for({"pytorch_model.bin"}).find("run code"), std::string::npos);
  EXPECT_NE(words_for({"adapter_config.json"}).find("adapter"), std::string::npos);
  EXPECT_NE(words_for({"model.safetensors"}).find("config.json"), std::string::npos);
  EXPECT_NE(words_for({"snapshots", "refs"}).find("snapshots/"), std::string::npos);
  EXPECT_EQ(words_for({"notes.txt"}), "it holds no weights either");
}

}  // namespace
}  // namespace tercet::hostile
