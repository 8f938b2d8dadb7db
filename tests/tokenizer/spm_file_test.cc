// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/spm_file.h"

#include "tokenizer/bpe.h"
#include "tokenizer/support.h"

namespace tercet {
namespace {

using testing::expect_error;
using testing::read_bytes;
using testing::TemporaryDirectory;

// Protocol buffer fields, written out by hand.
std::string varint(uint64_t value) {
  std::string out;
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  return out + static_cast<char>(value);
}
std::string integer_field(uint64_t number, uint64_t value) {
  return varint(number << 3) + varint(value);
}
std::string bytes_field(uint64_t number, const std::string& bytes) {
  return varint(number << 3 | 2) + varint(bytes.size()) + bytes;
}
std::string float_field(uint64_t number, float value) {
  std::string out = varint(number << 3 | 5);
  testing::append(out, value);
  return out;
}
std::string piece_field(const std::string& text, float score, uint64_t type) {
  return bytes_field(1, bytes_field(1, text) + float_field(2, score) + integer_field(3, type));
}

constexpr uint64_t kBpe = 2;

// Trainer and normalizer; `more` are further fields of each.
std::string settings(uint64_t model_type, const std::string& more_of_trainer = "",
                     const std::string& more_of_normalizer = "") {
  return bytes_field(2, integer_field(3, model_type) + more_of_trainer) +
         bytes_field(3, more_of_normalizer);
}

const std::string kPieces = piece_field("<unk>", 0, 2) + piece_field("<s>", 0, 3) +
                            piece_field("</s>", 0, 3) + piece_field("a", -1.5f, 1);

TokenizerSpec read(const std::string& bytes) { return parse_spm(bytes, "tokenizer.model"); }

void expect_refused(ErrorCode code, const std::string& bytes, const std::string& text) {
  expect_error(code, text, [&] { read(bytes); });
}

TEST(SpmFile, ReadsPiecesAndSettings) {
  const std::string normalizer =
      bytes_field(1, "identity") + integer_field(3, 0) + integer_field(4, 0);
  const TokenizerSpec spec = read(kPieces + settings(kBpe, "", normalizer));
  ASSERT_EQ(spec.pieces.size(), 4u);
  EXPECT_EQ(spec.pieces[3].text, "a");
  EXPECT_EQ(spec.pieces[3].score, -1.5f);
  EXPECT_EQ(spec.pieces[1].type, PieceType::kControl);
  EXPECT_EQ(spec.unknown_id, 0);
  EXPECT_EQ(spec.bos_id, 1);
  EXPECT_EQ(spec.eos_id, 2);
  EXPECT_TRUE(spec.add_bos);
  EXPECT_FALSE(spec.add_dummy_prefix);
  EXPECT_FALSE(spec.remove_extra_whitespaces);
}

TEST(SpmFile, AbsentSettingsHaveTheDefaultsOfTheFormat) {
  const TokenizerSpec spec = read(kPieces + settings(kBpe));
  EXPECT_TRUE(spec.add_dummy_prefix);
  EXPECT_TRUE(spec.remove_extra_whitespaces);
  EXPECT_EQ(read(piece_field("<unk>", 0, 2) + settings(kBpe)).bos_id, -1);
}

TEST(SpmFile, HonoursOtherNamesOfBosAndEos) {
  const std::string names = bytes_field(46, "<begin>") + bytes_field(47, "<end>");
  const TokenizerSpec spec = read(kPieces + piece_field("<end>", 0, 3) +
                                  piece_field("<begin>", 0, 3) + settings(kBpe, names));
  EXPECT_EQ(spec.eos_id, 4);
  EXPECT_EQ(spec.bos_id, 5);
}

TEST(SpmFile, RefusesOtherAlgorithmsByName) {
  const auto expect_unsupported = [&](const std::string& fields, const std::string& text) {
    expect_refused(ErrorCode::kUnsupported, kPieces + fields, text);
  };
  expect_unsupported(bytes_field(2, "") + bytes_field(3, ""), "model_type = unigram");
  expect_unsupported(settings(3), "model_type = word");
  expect_unsupported(settings(99), "model_type = ?");
  expect_unsupported(settings(kBpe, integer_field(24, 1)), "whitespace_as_suffix");
  expect_unsupported(settings(kBpe, "", bytes_field(1, "nmt_nfkc") + bytes_field(2, "rules")),
                     "nmt_nfkc");
  expect_unsupported(settings(kBpe, "", integer_field(5, 0)), "escape_whitespaces");
}

TEST(SpmFile, RefusesDamage) {
  const auto expect_damaged = [&](const std::string& bytes, const std::string& text) {
    expect_refused(ErrorCode::kBadInput, bytes, text);
  };
  expect_damaged("", "no pieces");
  expect_damaged("this is not a model", "cut or damaged");
  expect_damaged(varint(1 << 3 | 2) + varint(UINT64_MAX), "cut or damaged");  // endless length
  expect_damaged(varint(1 << 3 | 2) + varint(5) + "abc", "cut or damaged");
  expect_damaged(std::string(11, '\xFF'), "cut or damaged");  // endless varint
  expect_damaged(kPieces, "lacks trainer_spec");
  expect_damaged(kPieces + bytes_field(2, integer_field(3, kBpe)), "lacks normalizer_spec");
  expect_damaged(kPieces + piece_field("x", 0, 7) + settings(kBpe), "unknown type 7");
  expect_damaged(kPieces + piece_field("x", 0, 0) + settings(kBpe), "unknown type 0");
}

// Whatever is changed or missing, the file is refused or gives a tokenizer that works.
TEST(SpmFile, SurvivesEveryCutAndFlippedByte) {
  TemporaryDirectory directory;
  testing::train_small(directory.path());
  const std::string whole = read_bytes(directory.file("tokenizer.model"));
  const auto try_bytes = [](const std::string& bytes) {
    try {
      const Vocabulary vocabulary(read(bytes));
      bpe_encode(vocabulary, "the\u2581light\u2581house\n\n\xFF");
      return true;
    } catch (const Error& error) {
      EXPECT_NE(error.code(), ErrorCode::kInternal) << error.what();
      return false;
    }
  };
  Rng rng(3);
  int accepted = 0;
  int cuts_accepted = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << rng.below(8)));
    accepted += try_bytes(damaged) ? 1 : 0;
    cuts_accepted += try_bytes(whole.substr(0, at)) ? 1 : 0;
  }
  // After the normalizer nothing follows but rules for decoding, which do not count here.
  EXPECT_LE(cuts_accepted, 1);
  // A flipped bit in the text or score of a piece goes unseen; that most others do not is the
  // point.
  EXPECT_LT(static_cast<size_t>(accepted), whole.size());
}

}  // namespace
}  // namespace tercet
