// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/interpreter.h"
#include "tokenizer/jinja/print.h"

namespace tercet::jinja {

Interpreter::Interpreter(Context& context, const Map& variables)
    : context_(context), root_(std::make_shared<Scope>(nullptr)) {
  for (const auto& [name, value] : variables.entries()) root_->set(name.string()->bytes(), value);
  captured_.push_back(root_);
}

Interpreter::~Interpreter() {
  for (const ScopePtr& scope : captured_) scope->variables.clear();
}

Text Interpreter::render(const Block& body) {
  // Scopes lie on top of the variables, so that a template cannot be told from its input.
  const auto scope = std::make_shared<Scope>(root_);
  captured_.push_back(scope);
  TextBuilder out(context_);
  execute(body, scope, out);
  return out.take();
}

void Interpreter::write(const Text& text, TextBuilder& out) {
  output_bytes_ += text.size();
  const size_t limit = context_.limits().max_output_bytes;
  if (output_bytes_ > limit) {
    context_.fail("the template writes more than max_output_bytes = {} bytes", limit);
  }
  out.append(text);
}

Interpreter::Flow Interpreter::execute(const Block& block, const ScopePtr& scope,
                                       TextBuilder& out) {
  for (const auto& statement : block) {
    const Flow flow = execute(*statement, scope, out);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::execute(const Statement& statement, const ScopePtr& scope,
                                       TextBuilder& out) {
  const Context::Level level(context_);
  context_.step();
  context_.set_line(statement.line);
  switch (statement.kind) {
    case Statement::Kind::kText:
      write(statement.text, out);
      break;
    case Statement::Kind::kPrint:
      write(to_text(context_, evaluate(*statement.expression, scope)), out);
      break;
    case Statement::Kind::kIf:
      return execute_if(statement, scope, out);
    case Statement::Kind::kFor:
      return execute_for(statement, scope, out);
    case Statement::Kind::kSet:
      assign(statement.target, evaluate(*statement.expression, scope), scope);
      break;
    case Statement::Kind::kSetBlock: {
      Value text = context_.string(capture(statement.body, scope));
      if (statement.expression) text = apply(*statement.expression, scope, &text);
      assign(statement.target, std::move(text), scope);
      break;
    }
    case Statement::Kind::kMacro:
      scope->set(statement.name, make_macro(statement, scope));
      break;
    case Statement::Kind::kCall:
      execute_call(statement, scope, out);
      break;
    case Statement::Kind::kFilter: {
      const Value text = context_.string(capture(statement.body, scope));
      write(to_text(context_, apply(*statement.expression, scope, &text)), out);
      break;
    }
    case Statement::Kind::kWith:
      return execute_with(statement, scope, out);
    case Statement::Kind::kScope:
      write(capture(statement.body, scope), out);
      break;
    case Statement::Kind::kBreak:
      return Flow::kBreak;
    case Statement::Kind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::execute_if(const Statement& statement, const ScopePtr& scope,
                                          TextBuilder& out) {
  for (const auto& [condition, block] : statement.branches) {
    if (condition == nullptr || evaluate(*condition, scope).truthy()) {
      return execute(block, scope, out);
    }
  }
  return Flow::kNext;
}

// What the loop goes through: the items that its condition holds for.
std::vector<Value> Interpreter::loop_items(const Statement& statement, const ScopePtr& scope) {
  std::vector<Value> items = items_of(context_, evaluate(*statement.expression, scope));
  if (!statement.condition) return items;
  std::vector<Value> kept;
  for (Value& item : items) {
    const auto inner = std::make_shared<Scope>(scope);
    assign(statement.target, item, inner);
    if (evaluate(*statement.condition, inner).truthy()) kept.push_back(std::move(item));
  }
  return kept;
}

Interpreter::Flow Interpreter::execute_for(const Statement& statement, const ScopePtr& scope,
                                           TextBuilder& out) {
  const auto items = std::make_shared<const std::vector<Value>>(loop_items(statement, scope));
  if (items->empty()) return execute(statement.otherwise, std::make_shared<Scope>(scope), out);
  const auto changed = std::make_shared<std::vector<Value>>();
  int nesting = 1;
  for (const Value& item : *items) nesting = std::max(nesting, 1 + item.nesting());
  for (size_t i = 0; i < items->size(); ++i) {
    context_.step();
    const auto inner = std::make_shared<Scope>(scope);
    inner->set("loop", Value(std::shared_ptr<const Loop>(
                           std::make_shared<Loop>(Loop{items, i, nesting, changed}))));
    assign(statement.target, (*items)[i], inner);
    if (execute(statement.body, inner, out) == Flow::kBreak) break;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::execute_with(const Statement& statement, const ScopePtr& scope,
                                            TextBuilder& out) {
  const auto inner = std::make_shared<Scope>(scope);
  for (const auto& [target, value] : statement.assignments) {
    assign(target, evaluate(*value, scope), inner);
  }
  return execute(statement.body, inner, out);
}

Text Interpreter::capture(const Block& block, const ScopePtr& scope) {
  TextBuilder out(context_);
  const size_t before = output_bytes_;
  execute(block, std::make_shared<Scope>(scope), out);
  // The text counts as output where it is written.
  output_bytes_ = before;
  return out.take();
}

// A macro sees what stands around it; what it holds on to is emptied at the end.
Value Interpreter::make_macro(const Statement& statement, const ScopePtr& scope) {
  if (captured_.back() != scope) captured_.push_back(scope);
  context_.allocate(sizeof(Function) + sizeof(Scope));
  auto function = std::make_shared<Function>();
  function->name = statement.kind == Statement::Kind::kCall ? "caller" : statement.name;
  function->macro = &statement;
  function->scope = scope;
  return Value(std::shared_ptr<const Function>(std::move(function)));
}

void Interpreter::execute_call(const Statement& statement, const ScopePtr& scope,
                               TextBuilder& out) {
  const Value caller = make_macro(statement, scope);
  write(to_text(context_, evaluate_call(*statement.expression, scope, &caller)), out);
}

Value Interpreter::call_macro(const Function& function, std::span<const Value> arguments,
                              const Keywords& keywords) {
  const Statement& macro = *function.macro;
  const auto scope = std::make_shared<Scope>(function.scope);
  Call call{context_, function.name, {}, arguments, keywords};
  for (const Parameter& parameter : macro.parameters) {
    const Value* given = call.take(parameter.name);
    if (given != nullptr) {
      scope->set(parameter.name, *given);
    } else if (parameter.fallback) {
      scope->set(parameter.name, evaluate(*parameter.fallback, scope));
    } else {
      scope->set(parameter.name,
                 Value::undefined(fmt::format("parameter '{}' was not provided", parameter.name)));
    }
  }
  if (call.next_argument == arguments.size()) {
    if (const Value* caller = call.take("caller")) scope->set("caller", *caller);
  }
  call.done();
  return context_.string(capture(macro.body, scope));
}

void Interpreter::assign(const Target& target, Value value, const ScopePtr& scope) {
  if (!target.parts.empty()) {
    const std::vector<Value> items = items_of(context_, value);
    if (items.size() != target.parts.size()) {
      context_.fail("{} values cannot be unpacked into {} names", items.size(),
                    target.parts.size());
    }
    for (size_t i = 0; i < items.size(); ++i) assign(target.parts[i], items[i], scope);
  } else if (target.attribute.empty()) {
    scope->set(target.name, std::move(value));
  } else {
    const Value* object = scope->find(target.name);
    if (object == nullptr || object->name_space() == nullptr) {
      context_.fail("'{}' is no namespace; only those can have attributes set", target.name);
    }
    context_.allocate(sizeof(Value) + target.attribute.size());
    object->name_space()->attributes.insert_or_assign(target.attribute, std::move(value));
  }
}

}  // namespace tercet::jinja
