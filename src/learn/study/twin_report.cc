// SPDX-License-Identifier: Apache-2.0
#include "learn/study/twin_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/file.h"

namespace tercet::learn {
namespace {

// The member that gaps are measured from; null without one.
const RunResult* full_precision(const std::vector<MemberCurves>& members) {
  const auto found = std::find_if(members.begin(), members.end(), [](const MemberCurves& member) {
    return !member.run.is_low_bit();
  });
  return found == members.end() ? nullptr : &found->run;
}

void add_weights(Json& json, const RunHistory& history) {
  if (!history.codes.empty()) {
    const WeightMoment& last = history.codes.back();
    json["codes"] = {{"minus", last.minus}, {"zero", last.zero}, {"plus", last.plus}};
    if (last.flips_per_step) json["flips_per_step"] = *last.flips_per_step;
  }
  if (history.latents) {
    json["latent_histogram"] = {{"low", history.latents->low},
                                {"high", history.latents->high},
                                {"counts", history.latents->counts}};
  }
}

Json member_json(const MemberCurves& member, const RunResult* reference) {
  Json json = to_json(member.run);
  add_weights(json, member.history);
  if (reference == nullptr || reference == &member.run) return json;
  const Gap gap = gap_between(member.run.validation_loss, reference->validation_loss);
  json["loss_gap"] = gap.loss;
  json["perplexity_gap_percent"] = gap.perplexity_percent;
  return json;
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{:.1f} s", seconds);
  if (whole < 3600) return fmt::format("{}:{:02} min", whole / 60, whole % 60);
  return fmt::format("{}:{:02} h", whole / 3600, whole / 60 % 60);
}

// A share in % with as many places as it needs.
std::string percent_text(const Json& json, const char* field) {
  return json.contains(field) ? fmt::format("{:.3g} %", 100 * json.at(field).get<double>()) : "";
}

std::string codes_text(const Json& member) {
  if (!member.contains("codes")) return "";
  const auto percent = [&](const char* code) {
    return 100 * member.at("codes").at(code).get<double>();
  };
  return fmt::format("{:.0f} / {:.0f} / {:.0f} %", percent("minus"), percent("zero"),
                     percent("plus"));
}

std::vector<std::string> table_row(const Json& member) {
  const auto number = [&](const char* field) { return member.at(field).get<double>(); };
  return {member.at("family").get<std::string>(),
          fmt::format("{:.2f} M", number("parameters") / 1e6),
          fmt::format("{:.2f}", number("linear_bits_per_weight")),
          fmt::format("{:.4f}", number("validation_loss")),
          fmt::format("{:.2f}", number("perplexity")),
          member.contains("perplexity_gap_percent")
              ? fmt::format("{:+.1f} %", number("perplexity_gap_percent"))
              : "",
          codes_text(member),
          percent_text(member, "flips_per_step"),
          fmt::format("{:.0f}", number("step_ms")),
          fmt::format("{:.0f} MiB", number("peak_rss_bytes") / (1 << 20)),
          duration_text(number("seconds"))};
}

std::string summary(const Json& twin) {
  const Json& first = twin.at("members").front();
  return fmt::format(
      "<p>{} tokens of '{}', seed {}; the same tokens in the same order for all.</p>\n",
      first.at("tokens").get<int64_t>(),
      plot::escape_markup(twin.at("text").at("name").get<std::string>()),
      twin.at("seed").get<int64_t>());
}

}  // namespace

Gap gap_between(double loss, double full_precision_loss) {
  const double more = loss - full_precision_loss;
  return {more, 100 * std::expm1(more)};
}

std::vector<MemberCurves> read_members(const std::filesystem::path& out,
                                       const std::vector<TwinMember>& members) {
  std::vector<MemberCurves> found;
  for (const TwinMember& member : members) {
    const std::filesystem::path run = out / member.family;
    const int64_t tokens_per_step = member.recipe.batch_size * member.recipe.sequence_length;
    found.push_back({read_run(run), read_history(run, tokens_per_step)});
  }
  return found;
}

Json twin_json(const std::vector<MemberCurves>& members, const Json& provenance, const Json& data) {
  const RunResult* reference = full_precision(members);
  Json json = provenance;
  json["text"] = data;
  json["seed"] = members.front().run.recipe.seed;
  json["members"] = Json::array();
  for (const MemberCurves& member : members) {
    json["members"].push_back(member_json(member, reference));
  }
  return json;
}

plot::Table twin_table(const Json& twin) {
  plot::Table table{{"family", "parameters", "bits/weight", "validation loss", "perplexity", "gap",
                     "-1 / 0 / +1", "flips/step", "ms/step", "peak memory", "time"},
                    {}};
  for (const Json& member : twin.at("members")) table.rows.push_back(table_row(member));
  return table;
}

void write_twin(const std::filesystem::path& out, const Json& twin,
                const std::vector<MemberCurves>& members) {
  write_page(out, "Families on the same tokens", twin,
             {{"", summary(twin) + plot::to_html(twin_table(twin))}}, twin_charts(members));
  // Last: where it is, the study is finished.
  write_text_file(out / "twin.json", twin.dump(2) + "\n");
}

}  // namespace tercet::learn
