// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "formats/json.h"
#include "learn/study/study_info.h"
#include "learn/study/twin_charts.h"
#include "learn/study/twin_plan.h"
#include "plot/page.h"

namespace tercet::learn {

// How far a member is from the full-precision one.
struct Gap {
  double loss = 0;                // nats per token more
  double perplexity_percent = 0;  // of the other's perplexity
};
Gap gap_between(double loss, double full_precision_loss);

// The finished members of a study in their order, from OUT/<family>/.
std::vector<MemberCurves> read_members(const std::filesystem::path& out,
                                       const std::vector<TwinMember>& members);

// A results file of such members: provenance, data, and per member what DESIGN.md section 7 names,
// with the gap to the first full-precision one, shares of codes, flips and latent weights at the
// end.
Json twin_json(const std::vector<MemberCurves>& members, const Json& provenance, const Json& data);

// The same for people.
plot::Table twin_table(const Json& twin);

// Writes OUT/twin.json, the pictures and OUT/index.html.
void write_twin(const std::filesystem::path& out, const Json& twin,
                const std::vector<MemberCurves>& members);

}  // namespace tercet::learn
