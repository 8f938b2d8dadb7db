// SPDX-License-Identifier: Apache-2.0
#include "learn/study/twin_plan.h"

#include <algorithm>
#include <array>

#include "core/cpu.h"
#include "core/error.h"
#include "learn/data/manifest.h"
#include "learn/pretrain/presets.h"

namespace tercet::learn {
namespace {

// What all members must agree on, or their losses could not be compared.
constexpr std::array kShared = {
    "data", "document_attention", "sequence_length", "batch_size", "steps", "seed", "eval_tokens"};

const RecipeField& recipe_field(const std::string& name, const std::string& text) {
  for (const RecipeField& field : recipe_fields()) {
    if (name == field.name) return field;
  }
  fail(ErrorCode::kUsage, "'{}': unknown recipe field '{}' (`tercet pretrain --help` lists them)",
       text, name);
}

Json field_value(const RecipeField& field, const std::string& value, const std::string& text) {
  if (std::holds_alternative<std::string Recipe::*>(field.member)) return value;
  const Json parsed = Json::parse(value, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_number() && !parsed.is_boolean()) {
    fail(ErrorCode::kUsage, "'{}': '{}' is no value for {}", text, value, field.name);
  }
  return parsed;
}

std::vector<std::string> chosen_families(const TwinRequest& request) {
  std::vector<std::string> families = request.families;
  if (families.empty()) families = default_families();
  for (auto it = families.begin(); it != families.end(); ++it) {
    if (std::find(default_families().begin(), default_families().end(), *it) ==
        default_families().end()) {
      fail(ErrorCode::kUsage, "unknown family '{}'; choose among {}", *it,
           fmt::join(default_families(), ", "));
    }
    if (std::find(families.begin(), it, *it) != it) {
      fail(ErrorCode::kUsage, "family '{}' is given twice", *it);
    }
  }
  for (const auto* settings : {&request.own, &request.own_options}) {
    for (const auto& [family, fields] : *settings) {
      if (std::find(families.begin(), families.end(), family) != families.end()) continue;
      fail(ErrorCode::kUsage, "there are settings for '{}', which is not among the families {}",
           family, fmt::join(families, ", "));
    }
  }
  return families;
}

Recipe member_recipe(const TwinRequest& request, const std::string& family) {
  const auto of_family = [&](const std::map<std::string, Json>& settings) {
    const auto found = settings.find(family);
    return found == settings.end() ? Json::object() : found->second;
  };
  const std::vector<RecipePart> parts = {{{{"family", family}}, "command line"},
                                         {request.common, "recipe"},
                                         {of_family(request.own), "recipe of " + family},
                                         {request.options, "command line"},
                                         {of_family(request.own_options), "--set"}};
  Recipe recipe = resolved(assembled_recipe(request.preset, parts));
  if (recipe.family != family) {
    fail(ErrorCode::kUsage, "a setting makes the member '{}' one of '{}'; choose with --families",
         family, recipe.family);
  }
  if (recipe.data.empty()) {
    fail(ErrorCode::kUsage, "give the training data: --data DIR, made by `tercet data build`");
  }
  for (DataSource& source : recipe.data) {
    source.path = std::filesystem::absolute(source.path).lexically_normal().string();
  }
  if (recipe.threads == 0) {
    recipe.threads = std::max<int64_t>(1, read_cpu_info().physical_cores / request.parallel);
  }
  model_config(recipe, read_manifest(recipe.data.front().path).vocab_size, 1, 2);
  return recipe;
}

}  // namespace

const std::vector<std::string>& default_families() {
  static const std::vector<std::string> families = {"llama", "b1.58", "b1"};
  return families;
}

void add_own_setting(TwinRequest& request, const std::string& text) {
  const size_t equals = text.find('=');
  // Families have dots in their names, fields have none.
  const size_t dot = equals == std::string::npos ? equals : text.rfind('.', equals);
  if (dot == std::string::npos) {
    fail(ErrorCode::kUsage, "'{}': write FAMILY.FIELD=VALUE, e.g. b1.58.learning_rate=0.004", text);
  }
  const RecipeField& field = recipe_field(text.substr(dot + 1, equals - dot - 1), text);
  request.own_options[text.substr(0, dot)][field.name] =
      field_value(field, text.substr(equals + 1), text);
}

void check_same_tokens(const std::vector<TwinMember>& members) {
  const Json first = to_json(members.front().recipe);
  for (const TwinMember& member : members) {
    const Json other = to_json(member.recipe);
    for (const char* field : kShared) {
      if (other.at(field) == first.at(field)) continue;
      fail(ErrorCode::kUsage,
           "members must see the same tokens, but {} is {} for {} and {} for {}; give it for all",
           field, first.at(field).dump(), members.front().family, other.at(field).dump(),
           member.family);
    }
  }
}

Json to_json(const std::vector<TwinMember>& members) {
  Json json = Json::array();
  for (const TwinMember& member : members) json.push_back(to_json(member.recipe));
  return json;
}

std::vector<TwinMember> members_of_json(const Json& json, const std::string& origin) {
  if (!json.is_array() || json.empty()) {
    fail(ErrorCode::kBadInput, "'{}' is damaged: it names no members", origin);
  }
  std::vector<TwinMember> members;
  for (const Json& fields : json) {
    Recipe recipe;
    apply_json(recipe, fields, origin);
    members.push_back({recipe.family, resolved(recipe)});
  }
  check_same_tokens(members);
  return members;
}

std::vector<TwinMember> plan_twin(const TwinRequest& request) {
  std::vector<TwinMember> members;
  for (const std::string& family : chosen_families(request)) {
    members.push_back({family, member_recipe(request, family)});
  }
  check_same_tokens(members);
  return members;
}

}  // namespace tercet::learn
