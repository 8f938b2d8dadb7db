// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/spm_file.h"

#include "core/error.h"
#include "core/file.h"
#include "formats/printable.h"
#include "tokenizer/wire_reader.h"

namespace tercet {
namespace {

using Field = WireReader::Field;
using Type = WireReader::Type;

// What of the trainer's and normalizer's settings bears on encoding; defaults are those of the
// format, for absent fields.
struct Settings {
  bool has_trainer = false;
  bool has_normalizer = false;
  uint64_t model_type = 1;
  bool byte_fallback = false;
  bool whitespace_as_suffix = false;
  std::string bos_piece = "<s>";
  std::string eos_piece = "</s>";
  std::string normalizer = "identity";
  bool has_normalizer_rules = false;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
};

// Calls visit(field) for every field of `message`.
template <typename Visit>
void read_message(std::string_view message, const std::string& file, const Visit& visit) {
  WireReader reader(message);
  while (reader.more()) {
    const auto field = reader.next();
    if (!field) {
      fail(ErrorCode::kBadInput, "'{}' is not a SentencePiece model, or is cut or damaged", file);
    }
    visit(*field);
  }
}

bool is(const Field& field, uint64_t number, Type type) {
  return field.number == number && field.type == type;
}

Piece read_piece(std::string_view message, const std::string& file) {
  Piece piece;
  uint64_t type = static_cast<uint64_t>(PieceType::kNormal);
  read_message(message, file, [&](const Field& field) {
    if (is(field, 1, Type::kBytes)) piece.text = field.bytes;
    if (is(field, 2, Type::kFixed32)) piece.score = field.real();
    if (is(field, 3, Type::kVarint)) type = field.integer;
  });
  if (type < 1 || type > 6) {
    fail(ErrorCode::kBadInput, "'{}': a piece has the unknown type {}", file, type);
  }
  piece.type = static_cast<PieceType>(type);
  return piece;
}

void read_trainer(std::string_view message, const std::string& file, Settings& settings) {
  settings.has_trainer = true;
  read_message(message, file, [&](const Field& field) {
    if (is(field, 3, Type::kVarint)) settings.model_type = field.integer;
    if (is(field, 24, Type::kVarint)) settings.whitespace_as_suffix = field.integer != 0;
    if (is(field, 35, Type::kVarint)) settings.byte_fallback = field.integer != 0;
    if (is(field, 46, Type::kBytes)) settings.bos_piece = field.bytes;
    if (is(field, 47, Type::kBytes)) settings.eos_piece = field.bytes;
  });
}

void read_normalizer(std::string_view message, const std::string& file, Settings& settings) {
  settings.has_normalizer = true;
  read_message(message, file, [&](const Field& field) {
    if (is(field, 1, Type::kBytes)) settings.normalizer = field.bytes;
    if (is(field, 2, Type::kBytes)) settings.has_normalizer_rules |= !field.bytes.empty();
    if (is(field, 6, Type::kBytes)) settings.has_normalizer_rules |= !field.bytes.empty();
    if (is(field, 3, Type::kVarint)) settings.add_dummy_prefix = field.integer != 0;
    if (is(field, 4, Type::kVarint)) settings.remove_extra_whitespaces = field.integer != 0;
    if (is(field, 5, Type::kVarint)) settings.escape_whitespaces = field.integer != 0;
  });
}

void check_supported(const Settings& settings, const std::string& file) {
  const auto unsupported = [&](const char* field, const std::string& value) {
    fail(ErrorCode::kUnsupported,
         "'{}': {} = {} is not supported, only BPE with identity "
         "normalization is",
         file, field, value);
  };
  constexpr uint64_t kBpe = 2;
  if (settings.model_type != kBpe) {
    const char* const names[] = {"?", "unigram", "bpe", "word", "char"};
    unsupported("trainer_spec.model_type",
                names[settings.model_type < 5 ? settings.model_type : 0]);
  }
  if (settings.whitespace_as_suffix) unsupported("trainer_spec.treat_whitespace_as_suffix", "true");
  if (settings.has_normalizer_rules)
    unsupported("normalizer_spec.name", printable(settings.normalizer));
  if (!settings.escape_whitespaces) unsupported("normalizer_spec.escape_whitespaces", "false");
}

int64_t find_control(const std::vector<Piece>& pieces, const std::string& text) {
  for (size_t id = 0; id < pieces.size(); ++id) {
    if (pieces[id].type == PieceType::kControl && pieces[id].text == text) {
      return static_cast<int64_t>(id);
    }
  }
  return -1;
}

int64_t find_unknown(const std::vector<Piece>& pieces) {
  for (size_t id = 0; id < pieces.size(); ++id) {
    if (pieces[id].type == PieceType::kUnknown) return static_cast<int64_t>(id);
  }
  return -1;
}

}  // namespace

TokenizerSpec parse_spm(std::string_view bytes, const std::string& file) {
  TokenizerSpec spec;
  spec.origin = file;
  Settings settings;
  read_message(bytes, file, [&](const Field& field) {
    if (is(field, 1, Type::kBytes)) spec.pieces.push_back(read_piece(field.bytes, file));
    if (is(field, 2, Type::kBytes)) read_trainer(field.bytes, file, settings);
    if (is(field, 3, Type::kBytes)) read_normalizer(field.bytes, file, settings);
  });
  if (spec.pieces.empty()) {
    fail(ErrorCode::kBadInput, "'{}' is not a SentencePiece model: it has no pieces", file);
  }
  // Both follow the pieces in every model; a file cut before them would pass for one with defaults.
  if (!settings.has_trainer || !settings.has_normalizer) {
    fail(ErrorCode::kBadInput, "'{}' is cut: it lacks {}", file,
         settings.has_trainer ? "normalizer_spec" : "trainer_spec");
  }
  check_supported(settings, file);
  spec.unknown_id = find_unknown(spec.pieces);
  spec.bos_id = find_control(spec.pieces, settings.bos_piece);
  spec.eos_id = find_control(spec.pieces, settings.eos_piece);
  spec.add_bos = spec.bos_id >= 0;
  spec.add_dummy_prefix = settings.add_dummy_prefix;
  spec.remove_extra_whitespaces = settings.remove_extra_whitespaces;
  return spec;
}

TokenizerSpec read_spm_file(const std::filesystem::path& path) {
  const MappedFile mapped(path);
  const std::span<const uint8_t> bytes = mapped.bytes();
  return parse_spm({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

}  // namespace tercet
