// SPDX-License-Identifier: Apache-2.0
// The decoder and the post-processor of a tokenizer.json.
#include <utility>

#include "core/error.h"
#include "formats/json_fields.h"
#include "formats/printable.h"
#include "tokenizer/tokenizer_json.h"

namespace tercet {
namespace {

constexpr int64_t kMaxStrip = 1 << 20;

uint32_t read_count(const JsonFields& fields, const char* name) {
  const int64_t value = fields.integer_or(name, 0);
  if (value < 0 || value > kMaxStrip) {
    fail(ErrorCode::kBadInput, "{} = {} is out of range", fields.describe(name), value);
  }
  return static_cast<uint32_t>(value);
}

class DecoderReader {
 public:
  DecoderReader(const std::string& origin, Decoder& decoder) : origin_(origin), decoder_(decoder) {}

  void add(const Json& json) {
    const JsonFields fields(json, origin_, "decoder.");
    const std::string type = fields.string_or("type", "");
    if (type == "Sequence") return add_sequence(fields);
    if (type == "Fuse") {
      fused_ = true;
      return;
    }
    if (type == "Strip") return add_strip(fields);
    if (fused_) {
      fail(ErrorCode::kUnsupported, "{}: the decoder '{}' after Fuse is not supported", origin_,
           printable(type));
    }
    if (type == "ByteLevel") return put(Decoder::StepKind::kByteLevel);
    if (type == "ByteFallback") return put(Decoder::StepKind::kByteFallback);
    if (type == "Metaspace") return add_metaspace(fields);
    if (type == "Replace") return add_replace(fields);
    fail(ErrorCode::kUnsupported, "{}: the decoder '{}' is not supported", origin_,
         printable(type));
  }

 private:
  void put(Decoder::StepKind kind) {
    Decoder::Step step;
    step.kind = kind;
    decoder_.steps.push_back(std::move(step));
  }

  void add_sequence(const JsonFields& fields) {
    const Json* members = fields.find("decoders");
    if (members == nullptr || !members->is_array()) {
      fail(ErrorCode::kBadInput, "{} is not a list", fields.describe("decoders"));
    }
    for (const Json& member : *members) add(member);
  }

  void add_strip(const JsonFields& fields) {
    Decoder::Step step;
    step.kind = Decoder::StepKind::kStrip;
    step.replacement.from = fields.string_or("content", " ");
    step.left = read_count(fields, "start");
    step.right = read_count(fields, "stop");
    if (step.replacement.from.empty()) {
      fail(ErrorCode::kBadInput, "{} is empty", fields.describe("content"));
    }
    if (!fused_) return decoder_.steps.push_back(std::move(step));
    if (step.right != 0 || decoder_.text_strip.left != 0) {
      fail(ErrorCode::kUnsupported,
           "{}: the decoder 'Strip' after Fuse works once and on the beginning only", origin_);
    }
    decoder_.text_strip = std::move(step);
  }

  void add_metaspace(const JsonFields& fields) {
    Decoder::Step step;
    step.kind = Decoder::StepKind::kMetaspace;
    step.replacement.from = fields.string_or("replacement", "\u2581");
    if (step.replacement.from.empty()) {
      fail(ErrorCode::kBadInput, "{} is empty", fields.describe("replacement"));
    }
    const bool adds = fields.boolean_or("add_prefix_space", true);
    step.drops_first = fields.string_or("prepend_scheme", adds ? "always" : "never") != "never";
    decoder_.steps.push_back(std::move(step));
  }

  void add_replace(const JsonFields& fields) {
    const auto pattern = fields.object("pattern");
    Decoder::Step step;
    step.replacement.from = pattern ? pattern->string_or("String", "") : "";
    step.replacement.to = fields.string_or("content", "");
    if (step.replacement.from.empty()) {
      fail(ErrorCode::kUnsupported, "{}: the decoder 'Replace' works with a String only", origin_);
    }
    decoder_.steps.push_back(std::move(step));
  }

  const std::string& origin_;
  Decoder& decoder_;
  bool fused_ = false;
};

// The ids that a template's special token stands for.
std::vector<int32_t> template_ids(const JsonFields& fields, const std::string& name,
                                  const HfSpec& spec) {
  const auto tokens = fields.object("special_tokens");
  const auto token = tokens ? tokens->object(name.c_str()) : std::nullopt;
  if (!token) {
    fail(ErrorCode::kBadInput, "{}: post_processor: '{}' is not among its special_tokens",
         spec.bpe.origin, printable(name));
  }
  std::vector<int32_t> ids;
  for (const int64_t id : token->integers_or("ids", {})) {
    if (id < 0 || id >= static_cast<int64_t>(spec.bpe.pieces.size())) {
      fail(ErrorCode::kBadInput, "{}: post_processor: id {} is outside the vocabulary of {}",
           spec.bpe.origin, id, spec.bpe.pieces.size());
    }
    ids.push_back(static_cast<int32_t>(id));
  }
  return ids;
}

void read_template(const JsonFields& fields, HfSpec& spec) {
  const Json* single = fields.find("single");
  if (single == nullptr || !single->is_array()) {
    fail(ErrorCode::kBadInput, "{} is not a list", fields.describe("single"));
  }
  bool behind_text = false;
  for (const Json& element : *single) {
    const JsonFields item(element, spec.bpe.origin, "post_processor.single.");
    if (item.has("Sequence")) {
      if (std::exchange(behind_text, true)) {
        fail(ErrorCode::kUnsupported, "{}: a template that repeats the text is not supported",
             spec.bpe.origin);
      }
      continue;
    }
    const auto special = item.object("SpecialToken");
    if (!special) {
      fail(ErrorCode::kBadInput, "{}: post_processor.single holds an unknown element",
           spec.bpe.origin);
    }
    std::vector<int32_t>& target = behind_text ? spec.special_ids.suffix : spec.special_ids.prefix;
    for (const int32_t id : template_ids(fields, special->string_or("id", ""), spec)) {
      target.push_back(id);
    }
  }
}

}  // namespace

void read_decoder(const Json& json, const std::string& origin, HfSpec& spec) {
  if (json.is_null()) {
    spec.decoder.separator = " ";
    return;
  }
  DecoderReader(origin, spec.decoder).add(json);
}

void read_post_processor(const Json& json, const std::string& origin, HfSpec& spec) {
  if (json.is_null()) return;
  const JsonFields fields(json, origin, "post_processor.");
  const std::string type = fields.string_or("type", "");
  if (type == "ByteLevel") return;  // concerns offsets, not ids
  if (type == "TemplateProcessing") return read_template(fields, spec);
  const Json* members = type == "Sequence" ? fields.find("processors") : nullptr;
  if (members == nullptr || !members->is_array()) {
    fail(ErrorCode::kUnsupported, "{}: the post-processor '{}' is not supported", origin,
         printable(type));
  }
  for (const Json& member : *members) read_post_processor(member, origin, spec);
}

}  // namespace tercet
