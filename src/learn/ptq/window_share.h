// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "learn/dist/team.h"

namespace tercet::learn {

// Which of the windows of a text this rank carries through the model: they are dealt out in turn.
struct WindowShare {
  WindowShare() = default;  // all of them
  explicit WindowShare(Team team) : rank(team.rank()), ranks(team.ranks()) {}

  int64_t owner(size_t window) const { return static_cast<int64_t>(window) % ranks; }
  bool has(size_t window) const { return owner(window) == rank; }
  // The elements of `all`, one per window, that are this rank's.
  template <typename T>
  std::vector<T> of(const std::vector<T>& all) const {
    std::vector<T> out;
    for (size_t i = static_cast<size_t>(rank); i < all.size(); i += static_cast<size_t>(ranks)) {
      out.push_back(all[i]);
    }
    return out;
  }

  int64_t rank = 0;
  int64_t ranks = 1;
};

// The ranks that work on the windows `drawn` for a step, one for each: their owners as far as every
// rank gets about as many tokens, for those are the windows that need not travel. rows: tokens of
// each window.
std::vector<int64_t> takers_of(const std::vector<int64_t>& rows, const std::vector<size_t>& drawn,
                               int64_t ranks);

}  // namespace tercet::learn
