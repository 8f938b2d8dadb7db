// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/template.h"

#include "tokenizer/jinja/interpreter.h"
#include "tokenizer/jinja/parser.h"
#include "tokenizer/jinja/unicode.h"

namespace tercet::jinja {

struct Template::Data {
  std::string origin;
  Limits limits;
  Block body;
};

Template::Template(std::string_view source, std::string origin, const Limits& limits) {
  if (source.size() > limits.max_template_bytes) {
    fail(ErrorCode::kBadInput, "{}: {} bytes, more than max_template_bytes = {}", origin,
         source.size(), limits.max_template_bytes);
  }
  if (!is_valid_utf8(source)) fail(ErrorCode::kBadInput, "{}: not valid UTF-8", origin);
  auto data = std::make_unique<Data>();
  data->origin = std::move(origin);
  data->limits = limits;
  Context context(data->limits, data->origin);
  data->body = parse(context, source);
  data_ = std::move(data);
}

Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

Text Template::render(const Map& variables, std::chrono::system_clock::time_point now) const {
  Context context(data_->limits, data_->origin, now);
  Interpreter interpreter(context, variables);
  return interpreter.render(data_->body);
}

}  // namespace tercet::jinja
