// SPDX-License-Identifier: Apache-2.0
#include "learn/study/run_history.h"

#include <cmath>
#include <fstream>

#include "core/error.h"
#include "formats/json.h"

namespace tercet::learn {
namespace {

WeightMoment moment_of(const Json& event, double tokens) {
  WeightMoment moment;
  moment.tokens = tokens;
  moment.minus = event.at("minus").get<double>();
  moment.zero = event.at("zero").get<double>();
  moment.plus = event.at("plus").get<double>();
  if (!event.contains("flips_per_step")) return moment;
  moment.flips_per_step = event.at("flips_per_step").get<double>();
  for (const auto& [kind, fields] : event.at("kinds").items()) {
    moment.flips_by_kind[kind] = fields.at("flips_per_step").get<double>();
  }
  return moment;
}

LatentHistogram histogram_of(const Json& json) {
  LatentHistogram histogram{json.at("low").get<double>(), json.at("high").get<double>(),
                            json.at("counts").get<std::vector<double>>()};
  if (histogram.counts.size() < 3 || !(histogram.high > histogram.low)) {
    fail(ErrorCode::kBadInput, "a histogram of {} counts", histogram.counts.size());
  }
  return histogram;
}

// A loss that was not finite is null in the log.
double number_of(const Json& value) { return value.is_null() ? std::nan("") : value.get<double>(); }

void add_event(RunHistory& history, const Json& event, int64_t tokens_per_step) {
  const std::string kind = event.at("event").get<std::string>();
  if (kind != "step" && kind != "eval" && kind != "stats") return;
  const double tokens = event.at("step").get<double>() * static_cast<double>(tokens_per_step);
  if (kind == "step") history.training.push_back({tokens, number_of(event.at("loss"))});
  if (kind == "eval") {
    history.validation.push_back({tokens, number_of(event.at("validation_loss"))});
  }
  if (kind == "stats") {
    history.latents = histogram_of(event.at("histogram"));
    if (event.contains("zero")) history.codes.push_back(moment_of(event, tokens));
  }
}

}  // namespace

RunHistory read_history(const std::filesystem::path& directory, int64_t tokens_per_step) {
  const std::filesystem::path path = directory / "log.jsonl";
  std::ifstream file(path);
  if (!file) fail(ErrorCode::kIo, "cannot read '{}'", path.string());
  RunHistory history;
  int64_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    const std::string origin = fmt::format("{}:{}", path.string(), number);
    const Json event = parse_json(line, origin);
    try {
      add_event(history, event, tokens_per_step);
    } catch (const Json::exception& error) {
      fail(ErrorCode::kBadInput, "{}: {}", origin, error.what());
    } catch (const Error& error) {
      fail(error.code(), "{}: {}", origin, error.what());
    }
  }
  return history;
}

}  // namespace tercet::learn
