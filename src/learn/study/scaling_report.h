// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "formats/json.h"
#include "learn/study/scaling_fit.h"
#include "learn/study/scaling_sources.h"
#include "plot/page.h"

namespace tercet::learn {

// What a model's size is: the papers name models by all parameters; without embedding and head is
// how scaling laws are often counted, and differs much in small models.
enum class SizeMeasure { kParameters, kNonEmbedding };

// A family over its sizes.
struct FamilyLaw {
  std::string family;
  SizeMeasure measure = SizeMeasure::kParameters;
  std::vector<ScalingPoint> points;
  std::optional<ScalingFit> fit;  // nothing with fewer than three sizes
};

// One law per family and measure, families in the order in which they first occur. `noise` as in
// fit_scaling_law().
std::vector<FamilyLaw> fit_laws(const std::vector<SizeResult>& sizes, double noise);

// The fields `sizes`, `laws` and `energy_model` of scaling.json: per size its members with the gap
// to the mean loss of its full-precision ones and the energy per token (energy.h); per family the
// laws.
Json scaling_json(const std::vector<SizeResult>& sizes, const std::vector<FamilyLaw>& laws);

// The same for people.
plot::Table members_table(const Json& scaling);
plot::Table laws_table(const Json& scaling);

// Joules of the linear maps and attention of a member, without the head; node: "7nm" or "45nm".
double energy_per_token(const Json& member, const char* node);

}  // namespace tercet::learn
