// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/tokenizer_json_writer.h"

#include <optional>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "core/error.h"
#include "formats/printable.h"
#include "tokenizer/pre_type_json.h"
#include "tokenizer/score_merges.h"
#include "tokenizer/unicode.h"
#include "tokenizer/utf8.h"

namespace tercet {
namespace {

using MergeIds = std::vector<std::pair<int32_t, int32_t>>;

// The parts of a tokenizer.json. `model` lacks the two tables, which are too large for a tree of
// values.
struct Document {
  Json added_tokens = Json::array();
  Json normalizer;
  Json pre_tokenizer;
  Json post_processor;
  Json decoder;
  Json model;
};

std::string quoted(const std::string& text) { return Json(text).dump(); }

// Texts are keys there.
void check_texts(const std::vector<Piece>& pieces, const std::string& origin) {
  std::unordered_set<std::string_view> seen;
  std::string repaired;
  for (size_t id = 0; id < pieces.size(); ++id) {
    const std::string& text = pieces[id].text;
    if (valid_utf8(text, repaired) != text) {
      fail(ErrorCode::kUnsupported,
           "{}: the piece {} ('{}') is not UTF-8, which a tokenizer.json must be", origin, id,
           printable(text));
    }
    if (text.empty() || seen.insert(text).second) continue;
    fail(ErrorCode::kUnsupported,
         "{}: the text '{}' of piece {} is another piece's too; a tokenizer.json cannot say that",
         origin, printable(text), id);
  }
}

std::string vocabulary_text(const std::vector<Piece>& pieces) {
  std::string out = "{";
  for (size_t id = 0; id < pieces.size(); ++id) {
    if (pieces[id].text.empty()) continue;  // a hole in the numbering
    out += fmt::format("{}\n{}: {}", out.size() > 1 ? "," : "", quoted(pieces[id].text), id);
  }
  return out + "}";
}

std::string merges_text(const std::vector<Piece>& pieces, const MergeIds& merges) {
  const auto text = [&](int32_t id) { return quoted(pieces[static_cast<size_t>(id)].text); };
  std::string out = "[";
  for (const auto& [left, right] : merges) {
    out += fmt::format("{}\n[{}, {}]", out.size() > 1 ? "," : "", text(left), text(right));
  }
  return out + "]";
}

std::string to_text(const Document& document, const std::vector<Piece>& pieces,
                    const MergeIds& merges) {
  std::string out = "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null";
  const std::pair<const char*, const Json*> parts[] = {{"added_tokens", &document.added_tokens},
                                                       {"normalizer", &document.normalizer},
                                                       {"pre_tokenizer", &document.pre_tokenizer},
                                                       {"post_processor", &document.post_processor},
                                                       {"decoder", &document.decoder}};
  for (const auto& [name, value] : parts) {
    out += fmt::format(",\n\"{}\": {}", name, value->dump());
  }
  std::string model = document.model.dump();
  model.pop_back();  // its closing brace
  return out + fmt::format(",\n\"model\": {},\n\"vocab\": {},\n\"merges\": {}}}}}\n", model,
                           vocabulary_text(pieces), merges_text(pieces, merges));
}

Json model_json(bool byte_fallback, const Json& unknown, bool fuse_unknown, bool ignore_merges) {
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", unknown},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", fuse_unknown},
          {"byte_fallback", byte_fallback},
          {"ignore_merges", ignore_merges}};
}

Json added_token_json(const AddedToken& token) {
  return {{"id", token.id},          {"content", token.text},  {"single_word", token.single_word},
          {"lstrip", token.lstrip},  {"rstrip", token.rstrip}, {"normalized", token.normalized},
          {"special", token.special}};
}

// The tokens that stand around the text of a prompt, and so of each of two texts.
class PromptTemplate {
 public:
  PromptTemplate(const SpecialIds& ids, const std::vector<Piece>& pieces)
      : ids_(ids), pieces_(pieces) {}

  Json json() {
    if (ids_.prefix.empty() && ids_.suffix.empty()) return nullptr;
    Json single = Json::array();
    add(single, "A", 0);
    Json pair = single;
    add(pair, "B", 1);
    return {{"type", "TemplateProcessing"},
            {"single", std::move(single)},
            {"pair", std::move(pair)},
            {"special_tokens", std::move(tokens_)}};
  }

 private:
  void add(Json& out, const char* sequence, int type) {
    for (const int32_t id : ids_.prefix) add_token(out, id, type);
    out.push_back({{"Sequence", {{"id", sequence}, {"type_id", type}}}});
    for (const int32_t id : ids_.suffix) add_token(out, id, type);
  }

  void add_token(Json& out, int32_t id, int type) {
    const std::string& text = pieces_[static_cast<size_t>(id)].text;
    out.push_back({{"SpecialToken", {{"id", text}, {"type_id", type}}}});
    tokens_[text] = {{"id", text}, {"ids", {id}}, {"tokens", {text}}};
  }

  const SpecialIds& ids_;
  const std::vector<Piece>& pieces_;
  Json tokens_ = Json::object();
};

// Control tokens are looked for in the text as it is, user-defined ones in the normalized text.
std::optional<AddedToken> added_token(int32_t id, const Piece& piece) {
  AddedToken token;
  token.id = id;
  token.text = piece.text;
  token.special = piece.type == PieceType::kControl || piece.type == PieceType::kUnknown;
  token.normalized = piece.type == PieceType::kUserDefined;
  if (piece.text.empty() || (!token.special && !token.normalized)) return std::nullopt;
  return token;
}

void check_sentencepiece(const TokenizerSpec& spec) {
  if (spec.remove_extra_whitespaces) {
    fail(ErrorCode::kUnsupported,
         "{}: the vocabulary drops repeated spaces, which is not written as a tokenizer.json",
         spec.origin);
  }
  if (!spec.add_dummy_prefix) return;
  for (size_t id = 0; id < spec.pieces.size(); ++id) {
    if (spec.pieces[id].type != PieceType::kUserDefined) continue;
    // There each stretch beside an added token would get a space of its own.
    fail(
        ErrorCode::kUnsupported,
        "{}: the user-defined piece {} ('{}') in a vocabulary that puts a space before the text is "
        "not written as a tokenizer.json",
        spec.origin, id, printable(spec.pieces[id].text));
  }
}

Json space_replacement(std::string_view from, std::string_view to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

Json sentencepiece_normalizer(bool add_dummy_prefix) {
  const Json escape = space_replacement(" ", kSpaceSymbol);
  if (!add_dummy_prefix) return escape;
  return {{"type", "Sequence"},
          {"normalizers", {{{"type", "Prepend"}, {"prepend", kSpaceSymbol}}, escape}}};
}

Json sentencepiece_decoder(bool add_dummy_prefix) {
  Json steps = {
      space_replacement(kSpaceSymbol, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}};
  if (add_dummy_prefix) {
    steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  return {{"type", "Sequence"}, {"decoders", std::move(steps)}};
}

}  // namespace

std::string byte_level_json(const HfSpec& spec, const BpeModel& model) {
  if (!spec.json.empty()) return spec.json;
  const PreType* type = matching_pre_type(spec, model.byte_level(), model.ignore_merges());
  if (type == nullptr) {
    fail(ErrorCode::kInternal, "a tokenizer without a known pre-tokenizer has lost its file");
  }
  check_texts(model.pieces(), model.origin());
  Document document;
  for (const AddedToken& token : spec.added) {
    document.added_tokens.push_back(added_token_json(token));
  }
  document.normalizer = normalizer_json(*type);
  document.pre_tokenizer = pre_tokenizer_json(*type);
  document.post_processor = PromptTemplate(spec.special_ids, model.pieces()).json();
  document.decoder = {{"type", "ByteLevel"},
                      {"add_prefix_space", true},
                      {"trim_offsets", true},
                      {"use_regex", true}};
  document.model = model_json(false, nullptr, false, model.ignore_merges());
  return to_text(document, model.pieces(), model.merges());
}

std::string sentencepiece_json(const Vocabulary& vocabulary, const SpecialIds& ids) {
  const TokenizerSpec& spec = vocabulary.spec();
  check_sentencepiece(spec);
  check_texts(spec.pieces, spec.origin);
  Document document;
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const auto token = added_token(id, vocabulary.piece(id));
    if (token) document.added_tokens.push_back(added_token_json(*token));
  }
  document.normalizer = sentencepiece_normalizer(spec.add_dummy_prefix);
  document.post_processor = PromptTemplate(ids, spec.pieces).json();
  document.decoder = sentencepiece_decoder(spec.add_dummy_prefix);
  const Json unknown = ids.unknown < 0 ? Json() : Json(vocabulary.piece(ids.unknown).text);
  document.model = model_json(vocabulary.has_byte_pieces(), unknown, true, false);
  return to_text(document, spec.pieces, merges_from_scores(vocabulary));
}

}  // namespace tercet
