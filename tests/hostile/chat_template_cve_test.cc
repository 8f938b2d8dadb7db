// SPDX-License-Identifier: Apache-2.0
// Templates that take over programs which hand them to a full template engine. That ours use up
// neither time nor memory is tested in tests/tokenizer/jinja/limits_test.cc.
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>

#include "core/error.h"
#include "temporary_directory.h"
#include "tokenizer/jinja/json_value.h"
#include "tokenizer/jinja/template.h"

namespace tercet::hostile {
namespace {

using jinja::Map;
using jinja::Template;
using jinja::Value;

// What the template prints; nothing when it is refused, as bad or unsupported and in one line.
std::optional<std::string> render(const std::string& source) {
  try {
    Map variables;
    variables.set("messages", jinja::from_json({{{"role", "user"}, {"content", "Hello"}}}));
    return Template(source, "attack", {}).render(variables, {}).bytes();
  } catch (const Error& error) {
    EXPECT_TRUE(error.code() == ErrorCode::kBadInput || error.code() == ErrorCode::kUnsupported);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return std::nullopt;
  }
}

// "Llama Drama": from any object to its class, from there to every class that is loaded, and to one
// that starts programs. None of the first steps gives anything to go on from.
TEST(ChatTemplateCve, CVE_2024_34359_NoWayFromAValueToItsClass) {
  for (const char* object : {"''",           "()",          "[]",     "{}",      "1",
                             "messages",     "messages[0]", "none",   "loop",    "namespace()",
                             "range",        "dict",        "cycler", "joiner",  "raise_exception",
                             "strftime_now", "self",        "config", "request", "caller",
                             "namespace"}) {
    for (const char* step : {".__class__", "['__class__']", "|attr('__class__')", ".__init__",
                             ".__globals__", ".__mro__", ".__base__", ".__dict__", ".func_globals",
                             ".__subclasses__()", ".__getattribute__('__class__')", ".mro()"}) {
      const std::string path = std::string(object) + step;
      const auto printed = render("{{ " + path + " }}");
      EXPECT_TRUE(!printed || printed->empty()) << path << " prints " << *printed;
      EXPECT_FALSE(render("{{ " + path + ".__mro__[1].__subclasses__() }}").value_or("") != "")
          << path;
    }
  }
}

TEST(ChatTemplateCve, CVE_2024_34359_ThePublishedTemplate) {
  const testing::TemporaryDirectory directory;
  const std::filesystem::path proof = directory / "proof";
  const std::string command = "touch " + proof.string();
  for (const std::string& source :
       {"{% for x in ().__class__.__base__.__subclasses__() %}{% if 'warning' in x.__name__ %}"
        "{{ x()._module.__builtins__['__import__']('os').popen('" +
            command +
            "').read() }}"
            "{% endif %}{% endfor %}",
        "{{ self.__init__.__globals__.__builtins__.__import__('os').system('" + command + "') }}",
        "{{ cycler.__init__.__globals__.os.popen('" + command + "').read() }}",
        "{{ lipsum.__globals__['os'].popen('" + command + "').read() }}",
        "{{ joiner.__init__.__globals__.os.system('" + command + "') }}"}) {
    render(source);
    EXPECT_FALSE(std::filesystem::exists(proof)) << source;
  }
}

// The way around a sandbox that guards attributes alone: format strings read them too.
TEST(ChatTemplateCve, CVE_2024_56326_FormatStringsReadNoAttributes) {
  for (const char* source :
       {"{{ '{0.__class__}'.format(1) }}", "{{ '{0.__class__.__mro__}'.format('') }}",
        "{{ '{a[__class__]}'.format(a=messages) }}", "{{ '%(__class__)s' % messages[0] }}",
        "{{ ''|map('format', 1)|list }}", "{{ '{0.__class__}'|format(1) }}",
        "{% set f = '{0.__class__}'.format %}{{ f(1) }}",
        "{{ ['{0.__class__}']|map('format', 1)|join }}"}) {
    const std::string printed = render(source).value_or("");
    EXPECT_EQ(printed.find("class '"), std::string::npos) << source << " prints " << printed;
    EXPECT_EQ(printed.find("<class"), std::string::npos) << source << " prints " << printed;
  }
}

// Other files and the environment.
TEST(ChatTemplateCve, TemplatesReadNoFiles) {
  for (const char* source :
       {"{% include '/etc/passwd' %}", "{% import '/etc/passwd' as p %}",
        "{% from '/etc/passwd' import p %}", "{% extends '/etc/passwd' %}",
        "{{ open('/etc/passwd') }}", "{{ get_flashed_messages() }}", "{{ url_for('x') }}",
        "{{ lookup('file', '/etc/passwd') }}", "{{ environ }}", "{{ __import__('os') }}"}) {
    EXPECT_EQ(render(source).value_or(""), "") << source;
  }
}

TEST(ChatTemplateCve, SoundTemplatesStillWork) {
  EXPECT_EQ(render("{% for m in messages %}{{ m.role }}: {{ m['content'] }}{% endfor %}"),
            "user: Hello");
}

}  // namespace
}  // namespace tercet::hostile
