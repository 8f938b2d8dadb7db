// SPDX-License-Identifier: Apache-2.0
#include "learn/dist/team.h"

namespace tercet::learn {

void Team::sum(std::span<double> values) const {
  if (group_ != nullptr) group_->sum(values);
}

std::string Team::share(const std::string& text) const {
  return group_ == nullptr ? text : group_->share(text);
}

void Team::check_agreement(const ProcessGroup::NamedValues& values) const {
  if (group_ != nullptr) group_->check_agreement(values);
}

bool Team::any(bool here) const {
  double count = here ? 1 : 0;
  sum({&count, 1});
  return count > 0;
}

bool Team::first_says(bool here) const { return share(here ? "yes" : "no") == "yes"; }

}  // namespace tercet::learn
