// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/decode_state.h"
#include "tokenizer/text_range.h"

namespace tercet {

class Codec;
class GgufFile;
class GgufWriter;

enum class PieceType : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct Piece {
  // UTF-8, as the file has it. In SentencePiece's vocabularies "▁" (U+2581) stands for a space and
  // "<0xAB>" for a byte; in byte-level ones every character for a byte (byte_level.h).
  std::string text;
  float score = 0;
  PieceType type = PieceType::kNormal;
};

// Text to token ids and back, as the files of a model say: a tokenizer.json (BPE, byte-level or in
// SentencePiece's style), a SentencePiece tokenizer.model (BPE), or a GGUF vocabulary. Immutable
// after loading; safe to share between threads.
class Tokenizer {
 public:
  // A tokenizer.json or tokenizer.model, or a directory that holds one, the first preferred. Its
  // tokenizer_config.json and special_tokens_map.json say which tokens have a role. Throws kIo,
  // kBadInput, kUnsupported (e.g. a unigram model, or an unknown normalizer) naming file and
  // reason.
  static Tokenizer load(const std::filesystem::path& path);
  // Throws kBadInput, kUnsupported (e.g. an unknown tokenizer.ggml.pre) naming file and key.
  static Tokenizer from_gguf(const GgufFile& file);
  // The text of a tokenizer.json without the files beside it; `origin` names it in errors.
  static Tokenizer from_json(std::string_view text, const std::string& origin);
  // Sets the tokenizer.ggml.* keys, so that from_gguf() gives the same tokenizer.
  void write_gguf(GgufWriter& writer) const;
  // Writes tokenizer.json and tokenizer_config.json, so that load() gives the same tokenizer for
  // UTF-8 texts, and so does transformers. Throws kUnsupported naming what such files cannot say,
  // kIo.
  void write_files(const std::filesystem::path& directory) const;

  int32_t vocab_size() const;
  const Piece& piece(int32_t id) const;  // throws kBadInput outside [0, vocab_size)
  // The text that a token stands for inside a text, maybe half a character; empty for control and
  // unknown tokens. Throws as piece() does.
  std::string piece_bytes(int32_t id) const;
  int32_t bos_id() const;  // -1 when the model has none
  int32_t eos_id() const;
  int32_t unknown_id() const;
  bool add_bos() const;  // whether prompts start with BOS
  // The tokens that end a text or a turn as far as the files say: EOS first; of GGUF files also the
  // ends of turns and messages.
  const std::vector<int32_t>& end_ids() const;

  // Ids of `text`, without BOS/EOS. Control tokens in the text are not recognised: text is text.
  // Every text can be encoded. Invalid UTF-8 keeps its bytes where SentencePiece's byte pieces can
  // say them (tokenizer.model, GGUF "llama"); everywhere else each invalid part is read as U+FFFD,
  // as Python decodes with errors="replace".
  std::vector<int32_t> encode(std::string_view text) const;
  // encode() of text that follows other text: without the space that stands for the beginning of a
  // text. What precedes must end where a token ends: before white space or at a line end.
  std::vector<int32_t> encode_continuation(std::string_view text) const;
  // encode() with what the files put around a prompt: BOS in front when add_bos().
  std::vector<int32_t> encode_prompt(std::string_view text) const;

  // encode() that also recognises the control and added tokens written in the text, the longest at
  // each place, e.g. "<|im_start|>" or "</s>". No BOS is added. For rendered chat templates and
  // other text of the program's own making: in a user's text it would let the user forge turns, so
  // none are recognised that touch `data` (ascending ranges of bytes).
  std::vector<int32_t> encode_with_special(std::string_view text,
                                           std::span<const TextRange> data = {}) const;

  // The id of the control, user-defined or added token with exactly this text.
  std::optional<int32_t> find_special(std::string_view text) const;
  // Whether the token is a control token: it shapes the conversation and decodes to nothing. False
  // outside the vocabulary.
  bool is_special(int32_t id) const;

  // The text of `ids`; control pieces give nothing, byte pieces their byte, so that the text may be
  // invalid UTF-8 (StreamDecoder repairs it). The space that stands for the beginning of a text is
  // removed: ids start the text. Throws kBadInput for an id outside [0, vocab_size).
  std::string decode(std::span<const int32_t> ids) const;

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

 private:
  friend class StreamDecoder;
  explicit Tokenizer(std::unique_ptr<const Codec> codec);
  std::unique_ptr<const Codec> codec_;
};

// Decodes a stream of ids and never emits half a UTF-8 character: push() returns the text that is
// complete so far, finish() what remains (broken bytes as U+FFFD).
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool at_text_start);
  std::string push(int32_t id);
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  DecodeState state_;
  std::string pending_;
};

}  // namespace tercet
