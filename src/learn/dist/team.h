// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "core/error.h"
#include "learn/dist/process_group.h"

namespace tercet::learn {

// The ranks that train a model together, as code sees them that also runs alone: then there is one,
// and nothing travels. A copy means the same ranks.
class Team {
 public:
  Team() = default;  // alone
  // `group`, which may be null, must outlive it.
  explicit Team(ProcessGroup* group) : group_(group) {}

  ProcessGroup* group() const { return group_; }  // null when alone
  int64_t rank() const { return group_ == nullptr ? 0 : group_->rank(); }
  int64_t ranks() const { return group_ == nullptr ? 1 : group_->ranks(); }
  bool is_first() const { return rank() == 0; }
  // Whether it is the first rank of its machine.
  bool is_first_here() const { return group_ == nullptr || group_->local_rank() == 0; }
  int64_t sharing() const { return group_ == nullptr ? 1 : group_->sharing(); }

  // As of ProcessGroup; every rank must call them.
  void sum(std::span<double> values) const;
  void sum(const at::Tensor& tensor) const;
  // Returns when the tensor is rank `root`'s on all.
  void broadcast(const at::Tensor& tensor, int64_t root) const;
  std::string share(const std::string& text) const;
  void check_agreement(const ProcessGroup::NamedValues& values) const;
  // Returns when all ranks are here, however long that takes.
  void wait_for_all() const;
  // Returns once rank 0 has called it.
  void wait_for_first() const { share(""); }
  // Whether it is so on any rank.
  bool any(bool here) const;
  // The error of the first rank that has one, on all ranks; nothing when none has.
  std::optional<Error> first_error(const std::optional<Error>& here) const;
  // Whether it is so on rank 0.
  bool first_says(bool here) const;

 private:
  ProcessGroup* group_ = nullptr;
};

}  // namespace tercet::learn
