// SPDX-License-Identifier: Apache-2.0
// Attacks on other readers of tokenizers in GGUF files, each under the name it was published by.
#include <fmt/format.h>

#include "formats/gguf.h"
#include "formats/support.h"
#include "hostile/gguf_bytes.h"
#include "tokenizer/tokenizer.h"

namespace tercet::hostile {
namespace {

using testing::expect_error;

// A vocabulary in the making; every list can be made to disagree with the others.
struct Lists {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>", "\u2581", "a", "b", "ab"};
  std::vector<float> scores = {0, 0, 0, -1, -2, -3, -4};
  std::vector<int32_t> types = {2, 3, 3, 1, 1, 1, 1};

  void add(const std::string& token, int32_t type) {
    tokens.push_back(token);
    scores.push_back(-static_cast<float>(tokens.size()));
    types.push_back(type);
  }
  GgufBytes file() const {
    return GgufBytes()
        .string("tokenizer.ggml.model", "llama")
        .strings("tokenizer.ggml.tokens", tokens)
        .numbers("tokenizer.ggml.scores", Meta::kF32, scores)
        .numbers("tokenizer.ggml.token_type", Meta::kI32, types);
  }
};

Tokenizer load(const GgufBytes& file) {
  const std::string bytes = file.bytes();
  return Tokenizer::from_gguf(GgufFile(as_bytes(bytes), "attack.gguf"));
}

void expect_refused(const GgufBytes& file, const std::string& text) {
  expect_error(ErrorCode::kBadInput, text, [&] { load(file); });
}

// The lists were read as what they should be, whatever they were.
TEST(VocabularyCve, LlamaCpp26690_ListsOfAnotherElementType) {
  const Lists lists;
  const std::string zeros(lists.tokens.size(), '\0');
  const auto with = [&](const char* key, Meta type) {
    GgufBytes file = GgufBytes().string("tokenizer.ggml.model", "llama");
    const auto list = [&](const char* name, auto sound) {
      if (std::string_view(name) == key) {
        file.array(name, type, zeros.size(), type == Meta::kString ? "" : zeros);
      } else {
        sound(name);
      }
    };
    list("tokenizer.ggml.tokens", [&](const char* name) { file.strings(name, lists.tokens); });
    list("tokenizer.ggml.scores",
         [&](const char* name) { file.numbers(name, Meta::kF32, lists.scores); });
    list("tokenizer.ggml.token_type",
         [&](const char* name) { file.numbers(name, Meta::kI32, lists.types); });
    return file;
  };
  expect_refused(with("tokenizer.ggml.tokens", Meta::kU8), "an array of strings is expected");
  expect_refused(with("tokenizer.ggml.scores", Meta::kU8), "tokenizer.ggml.scores");
  expect_refused(with("tokenizer.ggml.token_type", Meta::kBool), "tokenizer.ggml.token_type");
  // A scalar, and a list, where the other is expected.
  expect_refused(
      GgufBytes().string("tokenizer.ggml.model", "llama").u32("tokenizer.ggml.tokens", 1),
      "an array of strings is expected");
  expect_refused(lists.file().strings("tokenizer.ggml.bos_token_id", {"1"}),
                 "tokenizer.ggml.bos_token_id");
}

TEST(VocabularyCve, ListsOfDifferentLengths) {
  for (const int list : {0, 1, 2}) {
    for (const bool longer : {false, true}) {
      Lists lists;
      const size_t size = lists.tokens.size() + (longer ? 1 : 0) - (longer ? 0 : 1);
      if (list == 0) lists.tokens.resize(size, "x");
      if (list == 1) lists.scores.resize(size);
      if (list == 2) lists.types.resize(size, 1);
      expect_refused(lists.file(), "must be equal");
    }
  }
}

// A byte piece was read by strtol, and its value used as an index: an out-of-bounds write.
TEST(VocabularyCve, LlamaCpp25969_BytePieceOutsideTheBytes) {
  // All other bytes are there, so that nothing but the piece itself is wrong.
  for (const char* piece : {"<0x-1>", "<0x+1>", "<0x 1>", "<0x1>", "<0x100>", "<0xGG>", "<0xff>",
                            "<0xFF", "0xFF", "", "<0xFF>\n", "<0xFF>FF>"}) {
    Lists lists;
    for (int byte = 0; byte < 255; ++byte) lists.add(fmt::format("<0x{:02X}>", byte), 6);
    lists.add(piece, 6);
    expect_refused(lists.file(), "byte piece 262 is malformed");
  }
  Lists twice;
  twice.add("<0x41>", 6);
  twice.add("<0x41>", 6);
  expect_refused(twice.file(), "given twice");
}

// A length was cut to 32 bits on its way to the caller's buffer.
TEST(VocabularyCve, CVE_2025_49847_VeryLongPiece) {
  const std::string text(3 << 20, 'x');
  Lists lists;
  lists.add(text, 1);
  const Tokenizer tokenizer = load(lists.file());
  const int32_t id = tokenizer.vocab_size() - 1;
  const int32_t ids[] = {id, id};
  EXPECT_EQ(tokenizer.decode(ids), text + text);
  StreamDecoder stream(tokenizer, false);
  EXPECT_EQ(stream.push(id), text);
}

// Sizes and ids that change their sign on the way.
TEST(VocabularyCve, CVE_2025_52566_IdsBeyondTheVocabulary) {
  const Lists lists;
  for (const char* key : {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id",
                          "tokenizer.ggml.unknown_token_id"}) {
    for (const uint32_t id : {7u, 0x7FFFFFFFu, 0x80000000u, UINT32_MAX}) {
      expect_refused(lists.file().u32(key, id), key);
    }
    expect_refused(lists.file().value(key, Meta::kI32, raw<int32_t>(-2)), key);
    expect_refused(lists.file().value(key, Meta::kU64, raw<uint64_t>((uint64_t{1} << 32) + 1)),
                   key);
  }
  const Tokenizer tokenizer = load(lists.file());
  for (const int32_t id : {-1, INT32_MIN, 7, INT32_MAX}) {
    const int32_t ids[] = {id};
    expect_error(ErrorCode::kBadInput, "outside the vocabulary",
                 [&] { (void)tokenizer.decode(ids); });
    expect_error(ErrorCode::kBadInput, "outside the vocabulary",
                 [&] { (void)tokenizer.piece(id); });
  }
  // A text much longer than the tokens a caller might expect; broken all through.
  const std::string text(1 << 20, '\xFF');
  EXPECT_FALSE(tokenizer.encode(text).empty());
}

TEST(VocabularyCve, PieceTypesThatDoNotExist) {
  for (const int32_t type : {0, 7, -1, INT32_MIN, INT32_MAX}) {
    Lists lists;
    lists.types.back() = type;
    expect_refused(lists.file(), "not a piece type");
  }
}

TEST(VocabularyCve, ScoresThatCannotBeOrdered) {
  Lists lists;
  lists.scores.back() = std::numeric_limits<float>::quiet_NaN();
  expect_refused(lists.file(), "score");
}

TEST(VocabularyCve, AnUnknownTokenizerIsRefusedByName) {
  const Lists lists;
  GgufBytes file = GgufBytes().string("tokenizer.ggml.model", "no-such-model");
  file.strings("tokenizer.ggml.tokens", lists.tokens);
  expect_error(ErrorCode::kUnsupported, "no-such-model", [&] { load(file); });
}

}  // namespace
}  // namespace tercet::hostile
