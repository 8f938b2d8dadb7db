// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "tokenizer/jinja/value.h"

namespace tercet::jinja {

// The variables of a template, of one pass of a loop or of one call of a macro, on top of those
// around it. The names belong to the syntax tree or to the variables of the rendering.
struct Scope {
  explicit Scope(std::shared_ptr<Scope> enclosing) : parent(std::move(enclosing)) {}

  // nullptr when no scope has it.
  const Value* find(std::string_view name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->parent.get()) {
      const auto found = scope->variables.find(name);
      if (found != scope->variables.end()) return &found->second;
    }
    return nullptr;
  }
  void set(std::string_view name, Value value) {
    variables.insert_or_assign(name, std::move(value));
  }

  std::shared_ptr<Scope> parent;
  std::unordered_map<std::string_view, Value> variables;
};

}  // namespace tercet::jinja
