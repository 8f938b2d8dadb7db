// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tercet {

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
  std::string text;  // UTF-8; "▁" (U+2581) stands for a space, "<0xAB>" for a byte piece
  float score = 0;
  PieceType type = PieceType::kNormal;
};

// SentencePiece-style BPE with byte fallback, from a `tokenizer.model` or from GGUF metadata
// (tokenizer.ggml.model = "llama"). Immutable after loading; safe to share between threads.
class Tokenizer {
 public:
  // A `tokenizer.model` file, or a directory that holds one. Throws kIo, kBadInput, kUnsupported
  // (e.g. a unigram model, or a normalizer other than identity) naming file and reason.
  static Tokenizer load(const std::filesystem::path& path);
  static Tokenizer from_gguf(const GgufFile& file);
  // Sets the tokenizer.ggml.* keys.
  void write_gguf(GgufWriter& writer) const;

  int32_t vocab_size() const;
  const Piece& piece(int32_t id) const;  // throws kBadInput outside [0, vocab_size)
  int32_t bos_id() const;                // -1 when the model has none
  int32_t eos_id() const;
  int32_t unknown_id() const;
  bool add_bos() const;  // whether prompts start with BOS

  // Ids of `text`, without BOS/EOS. Control pieces in the text are not recognised: text is text.
  // Invalid UTF-8 is encoded by byte pieces; encoding is total.
  std::vector<int32_t> encode(std::string_view text) const;
  // encode() of text that follows other text: without the space that stands for the beginning of a
  // text. What precedes must end where a token ends: before white space or at a line end.
  std::vector<int32_t> encode_continuation(std::string_view text) const;
  // encode() with BOS in front when add_bos().
  std::vector<int32_t> encode_prompt(std::string_view text) const;

  // encode() that also recognises the control and added tokens written in the text, the longest at
  // each place, e.g. "<|im_start|>" or "</s>". No BOS is added. For rendered chat templates and
  // other text of the program's own making: in a user's text it would let the user forge turns.
  std::vector<int32_t> encode_with_special(std::string_view text) const;

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
  struct Data;
  friend class StreamDecoder;
  explicit Tokenizer(std::unique_ptr<const Data> data);
  // Appends the bytes of one piece; the first that has any ends the text's start.
  void append_text(int32_t id, bool& at_text_start, std::string& out) const;
  std::unique_ptr<const Data> data_;
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
  bool at_text_start_;
  std::string pending_;
};

}  // namespace tercet
