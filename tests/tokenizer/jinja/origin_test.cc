// SPDX-License-Identifier: Apache-2.0
// Which bytes of a rendering come from the variables, whatever a template does to them.
#include <gtest/gtest.h>

#include "tokenizer/jinja/json_value.h"
#include "tokenizer/jinja/template.h"

namespace tercet::jinja {
namespace {

// The text with its data in brackets.
std::string marked(const Text& text) {
  std::string out;
  size_t done = 0;
  for (const TextRange& range : text.data_ranges()) {
    out += text.bytes().substr(done, range.begin - done) + "[" +
           text.bytes().substr(range.begin, range.end - range.begin) + "]";
    done = range.end;
  }
  return out + text.bytes().substr(done);
}

std::string render(std::string_view source, const std::string& value = "ab c") {
  Map variables;
  variables.set("x", Value(value, Origin::kData));
  variables.set("trusted", Value(std::string("T")));
  return marked(Template(source, "test").render(variables, {}));
}

TEST(JinjaOrigin, Printing) {
  EXPECT_EQ(render("<{{ x }}>{{ trusted }}"), "<[ab c]>T");
  EXPECT_EQ(render("{{ '<' + x + '>' }}"), "<[ab c]>");
  EXPECT_EQ(render("{{ '<' ~ x ~ x ~ '>' }}"), "<[ab cab c]>");
  EXPECT_EQ(render("{{ x * 2 }}{{ 'y' * 2 }}"), "[ab cab c]yy");
}

TEST(JinjaOrigin, PartsAndChanges) {
  EXPECT_EQ(render("{{ ('<' + x + '>')[0:3] }}|{{ ('<' + x + '>')[::-1] }}"), "<[ab]|>[c ba]<");
  EXPECT_EQ(render("{{ ('<' + x + ' >') | upper }}"), "<[AB C] >");
  EXPECT_EQ(render("{{ x | trim }}!", " a "), "[a]!");
  EXPECT_EQ(render("{{ (x + '!') | trim }}", " a "), "[a ]!");
  EXPECT_EQ(render("{{ x | replace('b', '<b>') }}"), "[a]<b>[ c]");
  EXPECT_EQ(render("{{ '1b2' | replace('b', x) }}"), "1[ab c]2");
  EXPECT_EQ(render("{{ x.split(' ') | join('<s>') }}"), "[ab]<s>[c]");
  EXPECT_EQ(render("{{ x | title }}-{{ x | capitalize }}"), "[Ab C]-[Ab c]");
  EXPECT_EQ(render("{% for c in x %}{{ c }}.{% endfor %}"), "[a].[b].[ ].[c].");
  EXPECT_EQ(render("{{ x | indent(1, true) }}", "a\nb"), " [a]\n [b]");
  EXPECT_EQ(render("{{ x.partition(' ') | join('') }}{{ x | reverse }}"), "[ab cc ba]");
}

TEST(JinjaOrigin, CollectionsAndBlocks) {
  EXPECT_EQ(render("{{ [x, 'y'] }}"), "[['ab c'], 'y']");
  EXPECT_EQ(render("{{ {'k': x} | tojson }}{{ {'k': 1} | tojson }}"),
            "[{\"k\": \"ab c\"}]{\"k\": 1}");
  EXPECT_EQ(render("{% set y %}<{{ x }}>{% endset %}{{ y }}"), "<[ab c]>");
  EXPECT_EQ(render("{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(x) }}{{ m('y') }}"), "<[ab c]><y>");
  EXPECT_EQ(render("{% filter upper %}<s>{{ x }}{% endfilter %}"), "<S>[AB C]");
  EXPECT_EQ(render("{% set n = namespace(v=x) %}{{ n.v ~ '.' }}"), "[ab c].");
}

TEST(JinjaOrigin, TextAppendsItsRanges) {
  Text text("ab", Origin::kData);
  text.append("cd", Origin::kTemplate);
  text.append("ef", Origin::kData);
  Text other("x");
  other.append(text, 1, 5);
  EXPECT_EQ(marked(other), "x[b]cd[e]");
  EXPECT_EQ(other.origin_at(0), Origin::kTemplate);
  EXPECT_EQ(other.origin_at(1), Origin::kData);
  EXPECT_EQ(other.origin_at(2), Origin::kTemplate);
  EXPECT_EQ(other.origin_at(4), Origin::kData);
}

}  // namespace
}  // namespace tercet::jinja
