// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "learn/study/run_history.h"
#include "learn/study/run_result.h"
#include "plot/chart.h"

namespace tercet::learn {

// A finished member with its curves.
struct MemberCurves {
  RunResult run;
  RunHistory history;
};

struct NamedChart {
  std::string name;  // of its file, without ".svg"
  std::string caption;
  plot::Chart chart;
};

// The colour that a family has in every chart.
size_t family_colour(const std::string& family);

// Losses, flips, shares of codes and latent weights of the members; charts without anything to show
// are left out.
std::vector<NamedChart> twin_charts(const std::vector<MemberCurves>& members);

}  // namespace tercet::learn
