// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "formats/json.h"
#include "learn/pretrain/recipe.h"

namespace tercet::learn {

// What a twin experiment is asked to compare: families trained on the same tokens.
struct TwinRequest {
  std::string preset;                 // may be empty
  std::vector<std::string> families;  // in this order; empty: all
  // Recipe fields, those further down win: of all members and of one family, first from files, then
  // from the command line.
  Json common = Json::object();
  std::map<std::string, Json> own;
  Json options = Json::object();
  std::map<std::string, Json> own_options;
  int64_t parallel = 1;  // members that train at a time
};

struct TwinMember {
  std::string family;
  Recipe recipe;  // resolved, data absolute, threads settled
};

// The families that are compared by default, the full-precision one first.
const std::vector<std::string>& default_families();

// "b1.58.learning_rate=0.004" as a field of one family's recipe. Throws kUsage naming `text`.
void add_own_setting(TwinRequest& request, const std::string& text);

// The members' recipes. Throws kUsage for an unknown or repeated family, fields that decide what a
// member sees (data, seed, lengths) and differ between members, no data or no length; kBadInput for
// shapes that do not fit; as read_manifest() does for the data.
std::vector<TwinMember> plan_twin(const TwinRequest& request);

// The members as study.json keeps them. members_of_json() throws kBadInput naming `origin` when
// they are damaged.
Json to_json(const std::vector<TwinMember>& members);
std::vector<TwinMember> members_of_json(const Json& json, const std::string& origin);

// Throws kUsage naming the first field in which members do not see the same tokens.
void check_same_tokens(const std::vector<TwinMember>& members);

}  // namespace tercet::learn
