// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "tokenizer/jinja/limits.h"
#include "tokenizer/jinja/value.h"

namespace tercet::jinja {

// What one rendering has used so far, and where in the template it is. Everything that takes time
// or memory in proportion to its input is paid for here first.
class Context {
 public:
  using Clock = std::chrono::system_clock;
  // `origin` names the template in errors; `now` is the time that strftime_now() tells. The
  // references must outlive this.
  Context(const Limits& limits, const std::string& origin, Clock::time_point now = {})
      : limits_(limits), origin_(origin), now_(now) {}
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const Limits& limits() const { return limits_; }
  Clock::time_point now() const { return now_; }
  int line() const { return line_; }
  void set_line(int line) { line_ = line; }

  // Throws Error "ORIGIN: line N: message".
  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    raise(ErrorCode::kBadInput, fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  [[noreturn]] void unsupported(fmt::format_string<Args...> format, Args&&... args) const {
    raise(ErrorCode::kUnsupported, fmt::format(format, std::forward<Args>(args)...));
  }
  // Throws kBadInput with the reason when `value` is undefined.
  void require_defined(const Value& value) const;

  void step(uint64_t count = 1);
  // Pays for going through `bytes` of text.
  void read(size_t bytes) { step(1 + bytes / 64); }
  void allocate(size_t bytes);
  void check_items(size_t count) const;

  // Values, paid for.
  Value string(Text text);
  Value list(std::vector<Value> items, List::Flavor flavor = List::Flavor::kList);
  Value map(Map entries);
  // A namespace, emptied when this ends: it may hold itself.
  Value adopt(std::shared_ptr<Namespace> space);

  // One level of evaluation, for as long as it lives.
  class Level {
   public:
    explicit Level(Context& context) : context_(context) { context_.enter(); }
    ~Level() { --context_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Context& context_;
  };

 private:
  [[noreturn]] void raise(ErrorCode code, const std::string& message) const;
  void enter();
  void check_nesting(int nesting) const;

  const Limits& limits_;
  const std::string& origin_;
  Clock::time_point now_;
  std::vector<std::shared_ptr<Namespace>> namespaces_;
  int line_ = 1;
  int depth_ = 0;
  uint64_t steps_ = 0;
  size_t allocated_ = 0;
};

// Text that grows piece by piece and is paid for as it grows.
class TextBuilder {
 public:
  explicit TextBuilder(Context& context) : context_(context) {}
  void append(std::string_view bytes, Origin origin) {
    context_.allocate(bytes.size());
    text_.append(bytes, origin);
  }
  void append(const Text& text) { append(text, 0, text.size()); }
  void append(const Text& text, size_t begin, size_t end) {
    context_.allocate(end - begin);
    text_.append(text, begin, end);
  }
  size_t size() const { return text_.size(); }
  Text take() { return std::move(text_); }

 private:
  Context& context_;
  Text text_;
};

}  // namespace tercet::jinja
