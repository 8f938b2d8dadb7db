// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "learn/study/scaling_report.h"
#include "learn/study/twin_charts.h"

namespace tercet::learn {

// Loss and gap over size, loss over energy per token. `scaling`: what scaling_json() made of the
// same runs; `noise` as in fit_scaling_law().
std::vector<NamedChart> scaling_charts(const Json& scaling, const std::vector<FamilyLaw>& laws,
                                       double noise);

}  // namespace tercet::learn
