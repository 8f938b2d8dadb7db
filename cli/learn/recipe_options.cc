// SPDX-License-Identifier: Apache-2.0
#include "cli/learn/recipe_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <type_traits>

#include "learn/pretrain/data_field.h"
#include "learn/pretrain/recipe.h"

namespace tercet::cli {
namespace {

using learn::Recipe;
using learn::RecipeField;

std::string option_name(const char* field) {
  std::string name = "--" + std::string(field);
  for (char& c : name) c = c == '_' ? '-' : c;
  return name;
}

// What --help shows as a field's default; nothing where the family or another field decides.
std::string default_text(const std::string& value) { return value; }
std::string default_text(int64_t value) { return value > 0 ? std::to_string(value) : ""; }
std::string default_text(double value) { return value >= 0 ? fmt::format("{}", value) : ""; }

template <typename Value>
CLI::Option* add_option(CLI::App& command, const std::string& name,
                        const std::function<void(const Value&)>& keep, const std::string& help,
                        const Value& shown) {
  CLI::Option* option = command.add_option_function<Value>(name, keep, help);
  const std::string text = default_text(shown);
  return text.empty() ? option : option->default_str(text);
}

// --recompute alone is --recompute true. (A default_str would be what it alone means.)
CLI::Option* add_option(CLI::App& command, const std::string& name,
                        const std::function<void(const bool&)>& keep, const std::string& help,
                        const bool& shown) {
  const std::function<void(const std::string&)> parse = [keep, name](const std::string& text) {
    bool value = true;
    if (!text.empty() && !CLI::detail::lexical_cast(text, value)) {
      throw CLI::ConversionError(text, name);
    }
    keep(value);
  };
  return command.add_option_function<std::string>(name, parse, help)
      ->expected(0, 1)
      ->type_name(shown ? "BOOLEAN=true" : "BOOLEAN=false");
}

// May be given several times, as DIR or DIR=WEIGHT.
CLI::Option* add_option(CLI::App& command, const std::string& name,
                        const std::function<void(const std::vector<DataSource>&)>& keep,
                        const std::string& help, const std::vector<DataSource>& /*shown*/) {
  const std::function<void(const std::vector<std::string>&)> parse =
      [keep](const std::vector<std::string>& texts) {
        std::vector<DataSource> sources;
        for (const std::string& text : texts) sources.push_back(parse_data_source(text));
        keep(sources);
      };
  return command.add_option_function<std::vector<std::string>>(name, parse, help)
      ->allow_extra_args(false);
}

// A field's value as the JSON that a recipe file would have.
template <typename Value>
Json field_json(const Value& value) {
  return value;
}
Json field_json(const std::vector<DataSource>& sources) { return learn::data_to_json(sources); }

}  // namespace

void add_recipe_options(CLI::App& command, const std::vector<std::string>& without,
                        const std::function<void(const std::string& field, Json value)>& keep) {
  const Recipe defaults;
  for (const RecipeField& field : learn::recipe_fields()) {
    if (std::find(without.begin(), without.end(), field.name) != without.end()) continue;
    std::visit(
        [&](auto member) {
          using Value = std::decay_t<decltype(defaults.*member)>;
          const std::function<void(const Value&)> keep_value = [keep, field](const Value& value) {
            keep(field.name, field_json(value));
          };
          add_option(command, option_name(field.name), keep_value, field.help, defaults.*member)
              ->group("Recipe (also fields of the --config file)");
        },
        field.member);
  }
}

}  // namespace tercet::cli
