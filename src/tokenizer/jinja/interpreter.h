// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/call.h"
#include "tokenizer/jinja/scope.h"

namespace tercet::jinja {

// Carries out one rendering. execute.cc holds the statements, evaluate.cc the expressions.
class Interpreter {
 public:
  // `variables` are what the template finds by name; they must outlive this, as the tree must.
  Interpreter(Context& context, const Map& variables);
  ~Interpreter();

  Text render(const Block& body);

 private:
  using ScopePtr = std::shared_ptr<Scope>;
  enum class Flow : unsigned char { kNext, kBreak, kContinue };

  // Statements.
  Flow execute(const Block& block, const ScopePtr& scope, TextBuilder& out);
  Flow execute(const Statement& statement, const ScopePtr& scope, TextBuilder& out);
  Flow execute_if(const Statement& statement, const ScopePtr& scope, TextBuilder& out);
  Flow execute_for(const Statement& statement, const ScopePtr& scope, TextBuilder& out);
  std::vector<Value> loop_items(const Statement& statement, const ScopePtr& scope);
  Flow execute_with(const Statement& statement, const ScopePtr& scope, TextBuilder& out);
  void execute_call(const Statement& statement, const ScopePtr& scope, TextBuilder& out);
  void write(const Text& text, TextBuilder& out);
  // The text that a block in a scope of its own gives.
  Text capture(const Block& block, const ScopePtr& scope);
  Value make_macro(const Statement& statement, const ScopePtr& scope);
  Value call_macro(const Function& function, std::span<const Value> arguments,
                   const Keywords& keywords);
  void assign(const Target& target, Value value, const ScopePtr& scope);

  // Expressions.
  Value evaluate(const Expression& expression, const ScopePtr& scope);
  Value evaluate_name(const Expression& expression, const ScopePtr& scope);
  Value evaluate_map(const Expression& expression, const ScopePtr& scope);
  Value evaluate_compare(const Expression& expression, const ScopePtr& scope);
  Value evaluate_concat(const Expression& expression, const ScopePtr& scope);
  Value evaluate_conditional(const Expression& expression, const ScopePtr& scope);
  Value evaluate_slice(const Expression& expression, const ScopePtr& scope);
  Value evaluate_call(const Expression& expression, const ScopePtr& scope, const Value* caller);
  // A filter or a test; `subject` when the expression has none of its own.
  Value apply(const Expression& expression, const ScopePtr& scope, const Value* subject);
  std::vector<Value> evaluate_all(std::span<const ExpressionPtr> expressions,
                                  const ScopePtr& scope);
  Keywords evaluate_keywords(const Expression& expression, const ScopePtr& scope);
  bool compare(Operator comparison, const Value& a, const Value& b);

  Context& context_;
  ScopePtr root_;
  // What macros and callers hold on to. Emptied at the end, since they may hold each other.
  std::vector<ScopePtr> captured_;
  size_t output_bytes_ = 0;
};

}  // namespace tercet::jinja
