// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/jinja/value.h"

namespace tercet::jinja {

struct Call;
using Native = Value (*)(Call& call);

enum class Operator : unsigned char {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
};

struct Expression;
using ExpressionPtr = std::unique_ptr<const Expression>;

// One node of an expression. Which fields count depends on the kind.
struct Expression {
  enum class Kind : unsigned char {
    kConstant,     // constant
    kName,         // name
    kList,         // operands
    kTuple,        // operands
    kMap,          // operands: key, value, key, value, ...
    kNegate,       // operands: 1
    kPlus,         // operands: 1
    kNot,          // operands: 1
    kAnd,          // operands: 2
    kOr,           // operands: 2
    kBinary,       // operands: 2, operators: 1
    kCompare,      // operands: n + 1, operators: n (a < b < c)
    kConcat,       // operands: 2 or more
    kConditional,  // operands: condition, value, and the other value or nullptr
    kAttribute,    // operands: 1, name
    kSubscript,    // operands: object, index
    kSlice,        // operands: object, begin, end, step; nullptr for those left out
    kCall,         // operands: function, arguments...; keywords
    kFilter,       // operands: subject (nullptr in a filter block), arguments...; keywords
    kTest,         // as kFilter
  };
  Kind kind = Kind::kConstant;
  int line = 1;
  int depth = 1;  // of the tree under it
  Value constant;
  std::string name;
  std::vector<ExpressionPtr> operands;
  std::vector<Operator> operators;
  std::vector<std::pair<std::string, ExpressionPtr>> keywords;
  Native native = nullptr;  // of filters and tests; nullptr when the name is not known
};

// What `set` and `for` assign to: a name, an attribute of a namespace, or several of them.
struct Target {
  std::string name;
  std::string attribute;
  std::vector<Target> parts;  // when not empty, the value is unpacked
};

struct Statement;
using Block = std::vector<std::unique_ptr<const Statement>>;

struct Parameter {
  std::string name;
  ExpressionPtr fallback;  // nullptr: undefined when not given
};

struct Statement {
  enum class Kind : unsigned char {
    kText,      // text
    kPrint,     // expression
    kIf,        // branches: condition (nullptr for else) and block
    kFor,       // target, expression, condition or nullptr, body, otherwise
    kSet,       // target, expression
    kSetBlock,  // target, expression (a kFilter without subject) or nullptr, body
    kMacro,     // name, parameters, body
    kCall,      // expression (a kCall), parameters, body
    kFilter,    // expression (a kFilter without subject), body
    kWith,      // assignments, body
    kScope,     // body
    kBreak,
    kContinue,
  };
  Kind kind = Kind::kText;
  int line = 1;
  Text text;
  std::string name;
  Target target;
  ExpressionPtr expression;
  ExpressionPtr condition;
  std::vector<std::pair<ExpressionPtr, Block>> branches;
  std::vector<std::pair<Target, ExpressionPtr>> assignments;
  std::vector<Parameter> parameters;
  Block body;
  Block otherwise;
};

}  // namespace tercet::jinja
