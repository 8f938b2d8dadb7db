// SPDX-License-Identifier: Apache-2.0
#include "learn/data/data_source.h"

#include <charconv>
#include <cmath>
#include <filesystem>
#include <system_error>

#include "core/error.h"

namespace tercet {
namespace {

std::optional<double> number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (stop != end || text.empty()) return std::nullopt;
  // Out of range: no weight either, but surely no part of a name.
  if (error == std::errc::result_out_of_range) return HUGE_VAL;
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

}  // namespace

DataSource parse_data_source(const std::string& text) {
  const size_t sign = text.rfind('=');
  std::error_code ignored;
  if (sign == std::string::npos || std::filesystem::exists(text, ignored)) return {text, {}};
  const auto weight = number(std::string_view(text).substr(sign + 1));
  if (weight) return {text.substr(0, sign), weight};
  if (std::filesystem::exists(text.substr(0, sign), ignored)) {
    fail(ErrorCode::kUsage, "data: '{}' is no weight in '{}'; give a number, as in {}=0.5",
         text.substr(sign + 1), text, text.substr(0, sign));
  }
  return {text, {}};
}

void check_data_sources(std::span<const DataSource> sources) {
  for (size_t i = 0; i < sources.size(); ++i) {
    const DataSource& source = sources[i];
    if (source.path.empty()) fail(ErrorCode::kUsage, "data: a directory's name is empty");
    for (size_t j = 0; j < i; ++j) {
      if (sources[j].path != source.path) continue;
      fail(ErrorCode::kUsage, "data: '{}' is given twice; give it once, with its whole weight",
           source.path);
    }
    if (source.weight.has_value() != sources[0].weight.has_value()) {
      const DataSource& bare = source.weight ? sources[0] : source;
      fail(ErrorCode::kUsage,
           "data: '{}' has no weight, others have; give all of them one (DIR=WEIGHT) or none",
           bare.path);
    }
    if (source.weight && !(std::isfinite(*source.weight) && *source.weight > 0)) {
      fail(ErrorCode::kUsage, "data: the weight of '{}' is {}, it must be a number above 0",
           source.path, *source.weight);
    }
  }
}

}  // namespace tercet
