// SPDX-License-Identifier: Apache-2.0
// Templates made to use up time, memory or the stack: each must end with an error that names the
// limit.
#include <gtest/gtest.h>

#include "core/error.h"
#include "tokenizer/jinja/json_value.h"
#include "tokenizer/jinja/template.h"

namespace tercet::jinja {
namespace {

std::string repeat(std::string_view text, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

std::string error_of(const std::string& source, const Limits& limits = {}) {
  try {
    Map variables;
    variables.set("text", Value(std::string(1000, 'x'), Origin::kData));
    Template(source, "hostile", limits).render(variables, {});
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

void expect_limit(const std::string& source, std::string_view name, const Limits& limits = {}) {
  const std::string error = error_of(source, limits);
  EXPECT_TRUE(error.starts_with("hostile: ")) << error;
  EXPECT_NE(error.find(name), std::string::npos) << error << "\n" << source.substr(0, 200);
}

TEST(JinjaLimits, TemplateSize) {
  expect_limit(std::string((1 << 20) + 1, 'x'), "max_template_bytes");
}

TEST(JinjaLimits, NodesOfTheTree) {
  Limits limits;
  limits.max_nodes = 1000;
  expect_limit("{{ [" + repeat("1,", 2000) + "] }}", "max_nodes", limits);
  expect_limit(repeat("a{{ 1 }}", 2000), "max_nodes", limits);
}

TEST(JinjaLimits, NestingInTheSource) {
  const std::pair<const char*, const char*> brackets[] = {
      {"(", ")"}, {"[", "]"}, {"{1:", "}"}, {"-", ""}, {"not ", ""}, {"x[", "]"}, {"f(", ")"}};
  for (const auto& [opening, closing] : brackets) {
    expect_limit("{{ " + repeat(opening, 10'000) + "1" + repeat(closing, 10'000) + " }}",
                 "max_nesting");
  }
  expect_limit("{{ " + repeat("1 if 1 else ", 10'000) + "1 }}", "max_nesting");
  expect_limit(repeat("{% if 1 %}", 10'000), "max_nesting");
  expect_limit(repeat("{% for x in y %}", 10'000), "max_nesting");
  expect_limit(repeat("{% macro m() %}", 10'000), "max_nesting");
  expect_limit("{% for " + repeat("(", 10'000) + "x" + repeat(")", 10'000) + " in y %}",
               "max_nesting");
}

TEST(JinjaLimits, LongChainsThatNestInTheTree) {
  for (const char* link :
       {"+1", "*1", "**1", ".a", "[0]", "()", "|trim", " and 1", " or 1", " if 1"}) {
    expect_limit("{{ x" + repeat(link, 10'000) + " }}", "max_depth");
  }
  expect_limit("{% filter trim" + repeat("|trim", 10'000) + " %}{% endfilter %}", "max_depth");
}

TEST(JinjaLimits, Steps) {
  const std::string loop = "{% for a in range(100000) %}";
  expect_limit(repeat(loop, 5) + "x" + repeat("{% endfor %}", 5), "max_");
  Limits limits;
  limits.max_steps = 100'000;
  expect_limit(loop + "{% endfor %}", "max_steps", limits);
  expect_limit("{% for a in range(9999) %}{% if text == text %}{% endif %}{% endfor %}",
               "max_steps", limits);
}

TEST(JinjaLimits, MacrosThatCallThemselves) {
  expect_limit("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "max_depth");
  expect_limit(
      "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
      "max_depth");
  expect_limit("{% macro m() %}{% call m() %}{% endcall %}{% endmacro %}{{ m() }}", "max_depth");
  expect_limit(
      "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}"
      "{{ m(40) }}",
      "max_steps");
}

TEST(JinjaLimits, StringsThatDouble) {
  expect_limit(
      "{% set n = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(100) %}"
      "{% set n.s = n.s + n.s %}{% endfor %}",
      "max_memory_bytes");
  expect_limit(
      "{% set n = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(100) %}"
      "{% set n.s = n.s ~ n.s %}{% endfor %}",
      "max_memory_bytes");
  expect_limit("{{ 'x' * 1000000000000 }}", "max_memory_bytes");
  expect_limit("{{ 'x' * 9223372036854775807 }}", "max_memory_bytes");
  expect_limit("{{ 'xx' * 9223372036854775807 }}", "max_memory_bytes");
  expect_limit("{{ ('x' * 100000).replace('x', 'x' * 100000) }}", "max_memory_bytes");
  expect_limit("{{ 'x'.ljust(1000000000000) }}", "max_");
  expect_limit("{{ ('x' * 1000000).join(('x' * 1000)|list) }}", "max_memory_bytes");
  expect_limit("{% set x = text * 1000 %}{{ x|tojson * 1000 }}", "max_memory_bytes");
}

TEST(JinjaLimits, ListsThatDouble) {
  expect_limit(
      "{% set n = namespace(s=[1]) %}{% for i in range(100) %}{% set n.s = n.s + n.s %}"
      "{% endfor %}",
      "max_");
  expect_limit("{{ [1] * 9223372036854775807 }}", "max_collection_items");
  expect_limit("{{ [1, 2] * 9223372036854775807 }}", "max_collection_items");
  expect_limit("{{ range(100001) }}", "max_range_items");
  expect_limit("{{ range(-9223372036854775807, 9223372036854775807) }}", "max_range_items");
  expect_limit("{{ [1]|batch(9223372036854775807, 0)|list }}", "max_collection_items");
}

// Values that share their parts: small in memory, without end when walked through.
TEST(JinjaLimits, SharedParts) {
  const std::string make =
      "{% set n = namespace(s=[1]) %}{% for i in range(90) %}{% set n.s = [n.s, n.s] %}{% endfor "
      "%}";
  expect_limit(make + "{{ n.s }}", "max_");
  expect_limit(make + "{{ n.s|tojson }}", "max_");
  expect_limit(make + "{{ n.s == [n.s[0], n.s[1]] }}", "max_steps");
  expect_limit(make + "{{ n.s < [n.s[0], n.s[1]] }}", "max_steps");
}

TEST(JinjaLimits, ValuesInsideEachOther) {
  const auto chain = [](const std::string& link) {
    return "{% set n = namespace(s=[1]) %}{% for i in range(99999) %}{% set n.s = " + link +
           " %}{% endfor %}";
  };
  expect_limit(chain("[n.s]"), "max_nesting");
  expect_limit(chain("{'a': n.s}"), "max_nesting");
  expect_limit(chain("{'a': n.s}.get"), "max_nesting");
  expect_limit(chain("[n.s]|reverse"), "max_nesting");
  EXPECT_EQ(error_of("{% set n = namespace() %}{% for i in range(9999) %}{% for x in [n.l] %}"
                     "{% set n.l = loop %}{% endfor %}{% endfor %}")
                .substr(0, 9),
            "hostile: ");
  // Chains and circles of namespaces and macros are allowed; they must end without deep recursion.
  EXPECT_EQ(error_of("{% set n = namespace() %}{% set n.n = n %}"), "none");
  EXPECT_EQ(error_of("{% set n = namespace() %}{% for i in range(99999) %}"
                     "{% set m = namespace(p=n.p) %}{% set n.p = m %}{% endfor %}"),
            "none");
  EXPECT_EQ(error_of("{% set n = namespace() %}{% macro m() %}{% set n.f = caller %}{% endmacro %}"
                     "{% for i in range(9999) %}{% set g = n.f %}{% call m() %}{{ g }}{% endcall %}"
                     "{% endfor %}"),
            "none");
}

TEST(JinjaLimits, Output) {
  Limits limits;
  limits.max_output_bytes = 1000;
  expect_limit("{% for i in range(2000) %}x{% endfor %}", "max_output_bytes", limits);
  expect_limit("{{ text }}{{ text }}", "max_output_bytes", limits);
}

TEST(JinjaLimits, SearchesThatWouldTakeTheProduct) {
  const std::string make = "{% set a = 'a' * 4000000 %}{% set b = 'a' * 2000000 ~ 'b' %}";
  EXPECT_EQ(
      error_of(make + "{{ b in a }}{{ a.find(b) }}{{ a.count(b) }}{{ a.replace(b, '') | length }}"
                      "{{ a.split(b) | length }}"),
      "none");
  EXPECT_NE(error_of(make + "{{ a.rfind(b) }}").find("256 bytes"), std::string::npos);
}

TEST(JinjaLimits, IntegersBeyond64Bits) {
  for (const char* sum :
       {"9223372036854775807 + 1", "-9223372036854775807 - 2", "4611686018427387904 * 2",
        "3 ** 99999", "9223372036854775808", "-(-9223372036854775807 - 1)",
        "(-9223372036854775807 - 1) // -1", "(-9223372036854775807 - 1)|abs"}) {
    EXPECT_NE(error_of(std::string("{{ ") + sum + " }}").find("64 bits"), std::string::npos) << sum;
  }
  EXPECT_EQ(
      error_of("{{ (-9223372036854775807 - 1) % -1 }}{{ 'abc'[9223372036854775807] }}"
               "{{ 'abc'[::9223372036854775807] }}{{ [1,2,3][::-9223372036854775807] }}"
               "{{ 'abc'[-9223372036854775807:9223372036854775807] }}"
               "{{ range(9223372036854775806, 9223372036854775807, 9223372036854775807)|list }}"),
      "none");
}

}  // namespace
}  // namespace tercet::jinja
