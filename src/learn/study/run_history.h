// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tercet::learn {

// A measurement of the weights, from a "stats" line of a log.
struct WeightMoment {
  double tokens = 0;
  double minus = 0;  // shares of codes
  double zero = 0;
  double plus = 0;
  std::optional<double> flips_per_step;
  std::map<std::string, double> flips_by_kind;
};

// Latent weights in bins of equal width between `low` and `high`, units of their scale; the first
// and the last count are those below and above.
struct LatentHistogram {
  double low = 0;
  double high = 0;
  std::vector<double> counts;
};

// How a run went, from its log.jsonl. Everything over tokens trained on.
struct RunHistory {
  struct Loss {
    double tokens = 0;
    double loss = 0;
  };
  std::vector<Loss> training;
  std::vector<Loss> validation;
  std::vector<WeightMoment> codes;         // empty for a dense model
  std::optional<LatentHistogram> latents;  // the last one
};

// Throws kIo when there is no log, kBadInput naming file and line when it is damaged. Events that
// it does not know are passed over.
RunHistory read_history(const std::filesystem::path& directory, int64_t tokens_per_step);

}  // namespace tercet::learn
