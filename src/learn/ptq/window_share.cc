// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/window_share.h"

#include <algorithm>

namespace tercet::learn {
namespace {

constexpr int64_t kNobody = -1;

}  // namespace

std::vector<int64_t> takers_of(const std::vector<int64_t>& rows, const std::vector<size_t>& drawn,
                               int64_t ranks) {
  std::vector<int64_t> takers(drawn.size(), kNobody);
  std::vector<int64_t> load(static_cast<size_t>(ranks));
  int64_t total = 0;
  for (const size_t window : drawn) total += rows[window];
  const auto load_of_owner = [&](size_t window) -> int64_t& {
    return load[window % static_cast<size_t>(ranks)];
  };
  for (size_t k = 0; k < drawn.size(); ++k) {
    int64_t& owners = load_of_owner(drawn[k]);
    if ((owners + rows[drawn[k]]) * ranks > total) continue;
    owners += rows[drawn[k]];
    takers[k] = static_cast<int64_t>(drawn[k]) % ranks;
  }
  // The others go to whoever has least.
  for (size_t k = 0; k < drawn.size(); ++k) {
    if (takers[k] != kNobody) continue;
    const auto least = std::min_element(load.begin(), load.end());
    int64_t& owners = load_of_owner(drawn[k]);
    int64_t& chosen = owners == *least ? owners : *least;
    chosen += rows[drawn[k]];
    takers[k] = &chosen - load.data();
  }
  return takers;
}

}  // namespace tercet::learn
