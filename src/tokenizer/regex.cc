// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <utility>

#include "core/error.h"
#include "formats/printable.h"
#include "tokenizer/unicode.h"

namespace tercet {
namespace {

constexpr size_t kMaxPatternBytes = 64 << 10;
constexpr uint32_t kMatchLimit = 10'000'000;  // steps of one match
constexpr uint32_t kHeapLimitKib = 64 << 10;
constexpr size_t kFirstJitStack = 64 << 10;
constexpr size_t kMaxJitStack = size_t{128} << 20;

struct CompileContextDeleter {
  void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
};

std::string message_of(int error) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(error, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

}  // namespace

struct Regex::Code {
  explicit Code(pcre2_code* compiled)
      : code(compiled), context(pcre2_match_context_create(nullptr)) {
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, kHeapLimitKib);
  }
  ~Code() {
    pcre2_match_context_free(context);
    pcre2_code_free(code);
  }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;

  pcre2_code* code;
  pcre2_match_context* context;
};

Regex::Regex(const std::string& pattern, const std::string& origin)
    : pattern_(pattern), origin_(origin) {
  if (pattern.size() > kMaxPatternBytes) {
    fail(ErrorCode::kUnsupported, "{}: a pattern of {} bytes is more than the {} allowed", origin,
         pattern.size(), kMaxPatternBytes);
  }
  const std::string translated = to_pcre2_syntax(pattern, origin);
  const std::unique_ptr<pcre2_compile_context, CompileContextDeleter> context(
      pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  // PCRE2_MULTILINE: in Ruby's syntax ^ and $ always match at line ends.
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
                    &offset, context.get());
  if (code == nullptr) {
    fail(ErrorCode::kUnsupported, "{}: the pattern '{}' cannot be used: {}", origin,
         printable(pattern), message_of(error));
  }
  code_ = std::make_shared<const Code>(code);
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without, matching is slower but the same
}

struct RegexSearch::State {
  explicit State(const pcre2_code* code)
      : data(pcre2_match_data_create_from_pattern(code, nullptr)) {}
  ~State() {
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
    pcre2_match_data_free(data);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // Matches again with a stack for the JIT of up to kMaxJitStack bytes, which long repetitions of
  // groups take; kept for the rest of the text.
  int match_with_stack(const Regex::Code& code, std::string_view text, size_t from) {
    if (context == nullptr) {
      context = pcre2_match_context_copy(code.context);
      stack = pcre2_jit_stack_create(kFirstJitStack, kMaxJitStack, nullptr);
      pcre2_jit_stack_assign(context, nullptr, stack);
    }
    return pcre2_match(code.code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                       PCRE2_NO_UTF_CHECK, data, context);
  }

  pcre2_match_data* data;
  pcre2_match_context* context = nullptr;
  pcre2_jit_stack* stack = nullptr;
};

RegexSearch::RegexSearch(const Regex& regex, std::string_view text)
    : regex_(regex), text_(text), state_(std::make_unique<State>(regex.code_->code)) {}
RegexSearch::~RegexSearch() = default;

std::optional<RegexMatch> RegexSearch::next() {
  const Regex::Code& code = *regex_.code_;
  while (from_ <= text_.size()) {
    int found = pcre2_match(code.code, reinterpret_cast<PCRE2_SPTR>(text_.data()), text_.size(),
                            from_, PCRE2_NO_UTF_CHECK, state_->data, code.context);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) {
      found = state_->match_with_stack(code, text_, from_);
    }
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) {
      fail(ErrorCode::kUnsupported, "{}: the pattern '{}' fails on this text: {}", regex_.origin_,
           printable(regex_.pattern_), message_of(found));
    }
    const PCRE2_SIZE* place = pcre2_get_ovector_pointer(state_->data);
    // \K in a lookahead may put the beginning behind the end.
    const RegexMatch result{std::min(place[0], place[1]), place[1]};
    if (result.begin == result.end && last_end_ == result.end) {
      if (from_ == text_.size()) break;
      from_ += code_point_at(text_.data() + from_).length;
      last_end_.reset();
      continue;
    }
    from_ = result.end;
    last_end_ = result.end;
    return result;
  }
  from_ = text_.size() + 1;
  return std::nullopt;
}

}  // namespace tercet
