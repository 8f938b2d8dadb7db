// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "tokenizer/jinja/limits.h"
#include "tokenizer/jinja/text.h"
#include "tokenizer/jinja/value.h"

namespace tercet::jinja {

// A parsed template of the Jinja2 subset that chat templates use: what it prints equals what Jinja2
// prints under the settings of transformers (trim_blocks, lstrip_blocks, loop controls, its tojson,
// raise_exception and strftime_now, values that cannot be changed). Outside the subset is refused
// by name. There is no way to files, the system or the program from inside a template. Immutable;
// safe to share between threads. Move-only.
class Template {
 public:
  // `origin` names the template in errors. Throws kBadInput "ORIGIN: line N: ..." for text that is
  // no template or exceeds a limit, kUnsupported naming what is not in the subset.
  Template(std::string_view source, std::string origin, const Limits& limits = {});
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

  // What it prints for `variables`, whose keys are strings; strings in them count as data unless
  // marked otherwise. `now` is what strftime_now() tells. Throws as the constructor, and kBadInput
  // with the message of raise_exception().
  Text render(const Map& variables, std::chrono::system_clock::time_point now) const;

 private:
  struct Data;
  std::unique_ptr<const Data> data_;
};

}  // namespace tercet::jinja
