// SPDX-License-Identifier: Apache-2.0
#include "learn/study/scaling_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "learn/study/energy.h"
#include "learn/study/twin_report.h"
#include "plot/ticks.h"

namespace tercet::learn {
namespace {

constexpr int64_t kEnergyTokens = 512;  // as in the paper's Table 1

std::vector<std::string> families_of(const std::vector<SizeResult>& sizes) {
  std::vector<std::string> families;
  for (const SizeResult& size : sizes) {
    for (const RunResult& run : size.runs) {
      if (std::find(families.begin(), families.end(), run.family) == families.end()) {
        families.push_back(run.family);
      }
    }
  }
  return families;
}

double size_of(const RunResult& run, SizeMeasure measure) {
  return static_cast<double>(measure == SizeMeasure::kParameters ? run.parameters
                                                                 : run.non_embedding_parameters());
}

FamilyLaw law_of(const std::vector<SizeResult>& sizes, const std::string& family,
                 SizeMeasure measure, double noise) {
  FamilyLaw law{family, measure, {}, {}};
  std::set<double> different;
  for (const SizeResult& size : sizes) {
    for (const RunResult& run : size.runs) {
      if (run.family != family) continue;
      law.points.push_back({size_of(run, measure), run.validation_loss});
      different.insert(law.points.back().size);
    }
  }
  if (different.size() >= 3) law.fit = fit_scaling_law(law.points, noise);
  return law;
}

Json energy_json(const RunResult& run) {
  const auto per_token = [](const Energy& energy) {
    return Json{{"add_joules", energy.add / kEnergyTokens},
                {"multiply_joules", energy.multiply / kEnergyTokens}};
  };
  Json json;
  for (const auto& [name, node] :
       {std::pair{"7nm", ProcessNode::k7nm}, {"45nm", ProcessNode::k45nm}}) {
    json[name] = per_token(inference_energy(node, run.config, Arithmetic::kFp16, kEnergyTokens));
    json[name]["head_joules"] =
        head_energy(node, run.config, Arithmetic::kFp16, kEnergyTokens).total() / kEnergyTokens;
  }
  return json;
}

// The mean loss of a size's full-precision runs; nothing without any.
std::optional<double> reference_loss(const SizeResult& size) {
  double sum = 0;
  int64_t count = 0;
  for (const RunResult& run : size.runs) {
    if (run.is_low_bit()) continue;
    sum += run.validation_loss;
    ++count;
  }
  if (count == 0) return std::nullopt;
  return sum / static_cast<double>(count);
}

Json size_json(const SizeResult& size) {
  const std::optional<double> reference = reference_loss(size);
  Json json = {{"name", size.name}, {"members", Json::array()}};
  for (const RunResult& run : size.runs) {
    Json member = to_json(run);
    member["energy_per_token"] = energy_json(run);
    if (reference && run.is_low_bit()) {
      const Gap gap = gap_between(run.validation_loss, *reference);
      member["loss_gap"] = gap.loss;
      member["perplexity_gap_percent"] = gap.perplexity_percent;
    }
    json["members"].push_back(std::move(member));
  }
  return json;
}

Json interval_json(const std::optional<Interval>& interval) {
  if (!interval) return nullptr;
  const auto end = [](const std::optional<double>& value) { return value ? Json(*value) : Json(); };
  return Json::array({end(interval->low), end(interval->high)});
}

Json law_json(const FamilyLaw& law) {
  Json json = {
      {"family", law.family},
      {"size", law.measure == SizeMeasure::kParameters ? "parameters" : "non_embedding_parameters"},
      {"points", law.points.size()}};
  if (!law.fit) {
    json["note"] = "not fitted: a law of three coefficients needs three sizes";
    return json;
  }
  const ScalingFit& fit = *law.fit;
  json.update({{"a", fit.law.a},
               {"b", fit.law.b},
               {"c", fit.law.c},
               {"a_interval", interval_json(fit.a)},
               {"b_interval", interval_json(fit.b)},
               {"c_interval", interval_json(fit.c)},
               {"degrees_of_freedom", fit.degrees_of_freedom},
               {"rms_relative_residual", fit.rms_relative_residual},
               {"intervals", fit.interval_method}});
  return json;
}

std::string with_interval(const Json& law, const char* name) {
  const std::string value = fmt::format("{:.4g}", law.at(name).get<double>());
  const Json& interval = law.at(fmt::format("{}_interval", name));
  if (interval.is_null()) return value;
  const auto end = [](const Json& limit) {
    return limit.is_null() ? std::string("?") : fmt::format("{:.3g}", limit.get<double>());
  };
  return fmt::format("{} [{}, {}]", value, end(interval[0]), end(interval[1]));
}

std::vector<std::string> member_row(const std::string& size, const Json& member) {
  const auto number = [&](const char* field) { return member.at(field).get<double>(); };
  return {
      size,
      member.at("family").get<std::string>(),
      fmt::format("{:.2f} M", number("parameters") / 1e6),
      fmt::format("{:.2f} M", number("non_embedding_parameters") / 1e6),
      fmt::format("{:.1f} M", number("tokens") / 1e6),
      fmt::format("{:.4f}", number("validation_loss")),
      fmt::format("{:.2f}", number("perplexity")),
      member.contains("perplexity_gap_percent")
          ? fmt::format("{:+.1f} %", number("perplexity_gap_percent"))
          : "",
      plot::number_text(std::stod(fmt::format("{:.3g}", energy_per_token(member, "7nm"))), "J"),
      plot::number_text(std::stod(fmt::format("{:.3g}", energy_per_token(member, "45nm"))), "J")};
}

}  // namespace

double energy_per_token(const Json& member, const char* node) {
  const Json& energy = member.at("energy_per_token").at(node);
  return energy.at("add_joules").get<double>() + energy.at("multiply_joules").get<double>();
}

std::vector<FamilyLaw> fit_laws(const std::vector<SizeResult>& sizes, double noise) {
  std::vector<FamilyLaw> laws;
  for (const SizeMeasure measure : {SizeMeasure::kParameters, SizeMeasure::kNonEmbedding}) {
    for (const std::string& family : families_of(sizes)) {
      laws.push_back(law_of(sizes, family, measure, noise));
    }
  }
  return laws;
}

Json scaling_json(const std::vector<SizeResult>& sizes, const std::vector<FamilyLaw>& laws) {
  Json json = {{"sizes", Json::array()}, {"laws", Json::array()}};
  for (const SizeResult& size : sizes) json["sizes"].push_back(size_json(size));
  for (const FamilyLaw& law : laws) json["laws"].push_back(law_json(law));
  json["energy_model"] = {
      {"tokens", kEnergyTokens},
      {"full_precision", "fp16"},
      {"counted", "linear maps of the layers and attention's two products; head_joules apart"}};
  return json;
}

plot::Table members_table(const Json& scaling) {
  plot::Table table{{"size", "family", "parameters", "without embedding", "tokens",
                     "validation loss", "perplexity", "gap", "energy/token 7 nm", "45 nm"},
                    {}};
  for (const Json& size : scaling.at("sizes")) {
    for (const Json& member : size.at("members")) {
      table.rows.push_back(member_row(size.at("name").get<std::string>(), member));
    }
  }
  return table;
}

plot::Table laws_table(const Json& scaling) {
  plot::Table table{{"L(N) = a N^b + c", "N", "a", "b", "c", "rms residual", "degrees of freedom"},
                    {}};
  for (const Json& law : scaling.at("laws")) {
    std::vector<std::string> row = {law.at("family").get<std::string>(),
                                    law.at("size") == "parameters" ? "all" : "without embedding"};
    if (law.contains("note")) {
      row.insert(row.end(), {law.at("note").get<std::string>(), "", "", "", ""});
    } else {
      row.insert(row.end(),
                 {with_interval(law, "a"), with_interval(law, "b"), with_interval(law, "c"),
                  fmt::format("{:.2g} %", 100 * law.at("rms_relative_residual").get<double>()),
                  fmt::format("{}", law.at("degrees_of_freedom").get<int64_t>())});
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace tercet::learn
