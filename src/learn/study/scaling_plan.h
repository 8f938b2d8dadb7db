// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "learn/study/twin_plan.h"

namespace tercet::learn {

// A twin experiment per size.
struct ScalingRequest {
  std::vector<std::string> presets;
  double tokens_per_parameter = 20;  // of the first family; not used when `base` says how long
  TwinRequest base;                  // of every size; its preset is not used
};

struct ScalingSize {
  std::string name;  // of the preset
  std::vector<TwinMember> members;
};

// The members of all sizes. Losses are only comparable in windows of one length, so all sizes get
// the shortest sequence_length among the presets, with as many tokens a step as theirs, unless the
// request names one. Throws kUsage for no preset, one twice, or a ratio that is not above 0; else
// as plan_twin() does.
std::vector<ScalingSize> plan_scaling(const ScalingRequest& request);

}  // namespace tercet::learn
