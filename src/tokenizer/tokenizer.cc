// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/tokenizer.h"

#include <utility>

#include "core/error.h"
#include "formats/gguf.h"
#include "formats/json.h"
#include "tokenizer/bpe.h"
#include "tokenizer/gguf_vocabulary.h"
#include "tokenizer/spm_file.h"
#include "tokenizer/utf8.h"
#include "tokenizer/vocabulary.h"

namespace tercet {
namespace {

constexpr const char* kModelName = "tokenizer.model";
constexpr const char* kConfigName = "tokenizer_config.json";
constexpr std::string_view kUnknownSurface = " \xE2\x81\x87 ";  // U+2047, what SentencePiece shows

// tokenizer_config.json beside the model may say whether prompts start with BOS.
void read_config(const std::filesystem::path& directory, TokenizerSpec& spec) {
  const std::filesystem::path path = directory / kConfigName;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return;
  const Json config = read_json_file(path);
  if (!config.is_object()) {
    fail(ErrorCode::kBadInput, "'{}' is not a JSON object", path.string());
  }
  const auto add_bos = config.find("add_bos_token");
  if (add_bos == config.end() || add_bos->is_null()) return;
  if (!add_bos->is_boolean()) {
    fail(ErrorCode::kBadInput, "'{}': the field 'add_bos_token' is not true or false",
         path.string());
  }
  spec.add_bos = add_bos->get<bool>();
}

void append_escaped(std::string_view text, std::string& out) {
  for (const char c : text) {
    if (c == ' ') {
      out += kSpaceSymbol;
    } else {
      out += c;
    }
  }
}

void append_unescaped(std::string_view text, std::string& out) {
  while (true) {
    const size_t symbol = text.find(kSpaceSymbol);
    out += text.substr(0, symbol);
    if (symbol == std::string_view::npos) return;
    out += ' ';
    text.remove_prefix(symbol + kSpaceSymbol.size());
  }
}

// Runs of spaces to one, those at the end away, and those at the beginning unless the text
// continues.
std::string without_extra_spaces(std::string_view text, bool continues) {
  std::string out;
  for (const char c : text) {
    const bool extra = out.empty() ? !continues : out.back() == ' ';
    if (c != ' ' || !extra) out += c;
  }
  return out;
}

std::vector<int32_t> encode_text(const Vocabulary& vocabulary, std::string_view text,
                                 bool continues) {
  const TokenizerSpec& spec = vocabulary.spec();
  std::string cleaned;
  if (spec.remove_extra_whitespaces) {
    cleaned = without_extra_spaces(text, continues);
    text = cleaned;
  }
  if (text.empty()) return {};
  std::string normalized;
  normalized.reserve(text.size() + text.size() / 2);
  if (spec.add_dummy_prefix && !continues) normalized += kSpaceSymbol;
  append_escaped(text, normalized);
  // Here and not before: space symbols that stand in the text itself go as well.
  while (spec.remove_extra_whitespaces && normalized.ends_with(kSpaceSymbol)) {
    normalized.resize(normalized.size() - kSpaceSymbol.size());
  }
  return bpe_encode(vocabulary, normalized);
}

}  // namespace

struct Tokenizer::Data {
  explicit Data(TokenizerSpec spec) : vocabulary(std::move(spec)) {}
  Vocabulary vocabulary;
};

Tokenizer::Tokenizer(std::unique_ptr<const Data> data) : data_(std::move(data)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(const std::filesystem::path& path) {
  std::error_code ignored;
  const bool is_directory = std::filesystem::is_directory(path, ignored);
  const std::filesystem::path model = is_directory ? path / kModelName : path;
  if (is_directory && !std::filesystem::exists(model, ignored)) {
    fail(ErrorCode::kIo, "'{}' holds no {}, the SentencePiece model that is needed", path.string(),
         kModelName);
  }
  TokenizerSpec spec = read_spm_file(model);
  read_config(model.parent_path(), spec);
  return Tokenizer(std::make_unique<const Data>(std::move(spec)));
}

Tokenizer Tokenizer::from_gguf(const GgufFile& file) {
  return Tokenizer(std::make_unique<const Data>(read_gguf_vocabulary(file)));
}

void Tokenizer::write_gguf(GgufWriter& writer) const {
  write_gguf_vocabulary(data_->vocabulary.spec(), writer);
}

int32_t Tokenizer::vocab_size() const { return data_->vocabulary.size(); }

const Piece& Tokenizer::piece(int32_t id) const {
  if (id < 0 || id >= vocab_size()) {
    fail(ErrorCode::kBadInput, "token id {} is outside the vocabulary of {}", id, vocab_size());
  }
  return data_->vocabulary.piece(id);
}

int32_t Tokenizer::bos_id() const { return static_cast<int32_t>(data_->vocabulary.spec().bos_id); }
int32_t Tokenizer::eos_id() const { return static_cast<int32_t>(data_->vocabulary.spec().eos_id); }
int32_t Tokenizer::unknown_id() const {
  return static_cast<int32_t>(data_->vocabulary.spec().unknown_id);
}
bool Tokenizer::add_bos() const { return data_->vocabulary.spec().add_bos; }

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  return encode_text(data_->vocabulary, text, false);
}

std::vector<int32_t> Tokenizer::encode_continuation(std::string_view text) const {
  return encode_text(data_->vocabulary, text, true);
}

std::vector<int32_t> Tokenizer::encode_prompt(std::string_view text) const {
  std::vector<int32_t> ids = encode(text);
  if (add_bos()) ids.insert(ids.begin(), bos_id());
  return ids;
}

// Every stretch between control pieces is a text of its own, with its own leading space, as
// llama.cpp and the Rust tokenizers have it.
std::vector<int32_t> Tokenizer::encode_with_special(std::string_view text) const {
  std::vector<int32_t> ids;
  const auto append = [&](std::string_view stretch) {
    const std::vector<int32_t> encoded = encode(stretch);
    ids.insert(ids.end(), encoded.begin(), encoded.end());
  };
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const int32_t id = data_->vocabulary.match_control(text.substr(at));
    if (id < 0) {
      ++at;
      continue;
    }
    append(text.substr(begin, at - begin));
    ids.push_back(id);
    at += piece(id).text.size();
    begin = at;
  }
  append(text.substr(begin));
  return ids;
}

std::optional<int32_t> Tokenizer::find_special(std::string_view text) const {
  const int32_t id = data_->vocabulary.find_special(text);
  return id < 0 ? std::nullopt : std::optional<int32_t>(id);
}

bool Tokenizer::is_special(int32_t id) const {
  return id >= 0 && id < vocab_size() && piece(id).type == PieceType::kControl;
}

void Tokenizer::append_text(int32_t id, bool& at_text_start, std::string& out) const {
  const Piece& entry = piece(id);
  if (entry.type == PieceType::kControl) return;
  const bool drops_space = std::exchange(at_text_start, false) &&
                           data_->vocabulary.spec().add_dummy_prefix &&
                           entry.text.starts_with(kSpaceSymbol);
  if (entry.type == PieceType::kUnknown) {
    out += kUnknownSurface;
  } else if (entry.type == PieceType::kByte) {
    out += static_cast<char>(data_->vocabulary.byte_of(id));
  } else {
    append_unescaped(std::string_view(entry.text).substr(drops_space ? kSpaceSymbol.size() : 0),
                     out);
  }
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::string out;
  bool at_text_start = true;
  for (const int32_t id : ids) append_text(id, at_text_start, out);
  return out;
}

}  // namespace tercet
