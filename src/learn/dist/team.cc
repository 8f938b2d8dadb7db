// SPDX-License-Identifier: Apache-2.0
#include "learn/dist/team.h"

#include <algorithm>
#include <vector>

namespace tercet::learn {

void Team::sum(std::span<double> values) const {
  if (group_ != nullptr) group_->sum(values);
}

void Team::sum(const at::Tensor& tensor) const {
  if (group_ != nullptr) group_->sum(tensor);
}

void Team::broadcast(const at::Tensor& tensor, int64_t root) const {
  if (group_ != nullptr) group_->broadcast(tensor, root).wait();
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

void Team::wait_for_all() const {
  if (group_ != nullptr) group_->barrier();
}

std::optional<Error> Team::first_error(const std::optional<Error>& here) const {
  if (group_ == nullptr) return here;
  std::vector<double> failed(static_cast<size_t>(ranks()));
  failed[static_cast<size_t>(rank())] = here ? 1 : 0;
  sum(failed);
  const auto first = std::find(failed.begin(), failed.end(), 1.0);
  if (first == failed.end()) return std::nullopt;
  const int64_t from = first - failed.begin();
  const std::string code =
      group_->share(here ? std::to_string(static_cast<int>(here->code())) : "", from);
  const std::string message = group_->share(here ? here->what() : "", from);
  return Error(static_cast<ErrorCode>(std::stoi(code)), message);
}

bool Team::first_says(bool here) const { return share(here ? "yes" : "no") == "yes"; }

}  // namespace tercet::learn
