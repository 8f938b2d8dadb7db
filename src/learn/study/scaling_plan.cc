// SPDX-License-Identifier: Apache-2.0
#include "learn/study/scaling_plan.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "learn/data/manifest.h"
#include "learn/pretrain/presets.h"

namespace tercet::learn {
namespace {

// Whether anything in the request decides one of these fields for all members.
bool says(const TwinRequest& request, std::initializer_list<const char*> fields) {
  return std::any_of(fields.begin(), fields.end(), [&](const char* field) {
    return request.common.contains(field) || request.options.contains(field);
  });
}

void check_request(const ScalingRequest& request) {
  if (request.presets.empty()) fail(ErrorCode::kUsage, "give the sizes: --presets 1m,3m,8m");
  for (auto it = request.presets.begin(); it != request.presets.end(); ++it) {
    if (std::find(request.presets.begin(), it, *it) != it) {
      fail(ErrorCode::kUsage, "preset '{}' is given twice", *it);
    }
  }
  if (!(request.tokens_per_parameter > 0) || request.tokens_per_parameter > 1e6) {
    fail(ErrorCode::kUsage, "tokens per parameter is {}, it must lie above 0 and up to 1000000",
         request.tokens_per_parameter);
  }
}

int64_t shortest_sequence(const std::vector<std::string>& presets) {
  int64_t shortest = std::numeric_limits<int64_t>::max();
  for (const std::string& preset : presets) {
    shortest = std::min(shortest, preset_recipe(preset, "llama").sequence_length);
  }
  return shortest;
}

int64_t parameters_of(const TwinMember& member) {
  const int64_t vocabulary = read_manifest(member.recipe.data.front().path).vocab_size;
  return model_config(member.recipe, vocabulary, 1, 2).parameter_count();
}

}  // namespace

std::vector<ScalingSize> plan_scaling(const ScalingRequest& request) {
  check_request(request);
  const int64_t sequence = shortest_sequence(request.presets);
  std::vector<ScalingSize> sizes;
  for (const std::string& preset : request.presets) {
    TwinRequest twin = request.base;
    twin.preset = preset;
    if (!says(twin, {"sequence_length"})) {
      const Recipe recipe = preset_recipe(preset, "llama");
      twin.options["sequence_length"] = sequence;
      if (!says(twin, {"batch_size"})) {
        twin.options["batch_size"] = recipe.batch_size * recipe.sequence_length / sequence;
      }
    }
    if (!says(twin, {"tokens", "steps"})) {
      const double parameters = static_cast<double>(parameters_of(plan_twin(twin).front()));
      twin.options["tokens"] =
          static_cast<int64_t>(std::ceil(request.tokens_per_parameter * parameters));
    }
    sizes.push_back({preset, plan_twin(twin)});
  }
  return sizes;
}

}  // namespace tercet::learn
