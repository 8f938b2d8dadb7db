// SPDX-License-Identifier: Apache-2.0
#include "learn/study/scaling_study.h"

#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "learn/study/scaling_charts.h"
#include "learn/study/scaling_report.h"
#include "learn/study/study_directory.h"
#include "learn/study/twin_study.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;

constexpr const char* kKind = "scaling";

Json sizes_json(const std::vector<ScalingSize>& sizes) {
  Json json = Json::array();
  for (const ScalingSize& size : sizes) {
    json.push_back({{"name", size.name}, {"members", to_json(size.members)}});
  }
  return json;
}

std::vector<ScalingSize> sizes_of_json(const Json& json, const std::string& origin) {
  std::vector<ScalingSize> sizes;
  for (const Json& size : json) {
    const std::string name = size.at("name").get<std::string>();
    if (name.empty() || fs::path(name).filename() != name || name == "." || name == "..") {
      fail(ErrorCode::kBadInput, "'{}' is damaged: '{}' is no name of a size", origin, name);
    }
    sizes.push_back({name, members_of_json(size.at("members"), origin)});
  }
  if (sizes.empty()) fail(ErrorCode::kBadInput, "'{}' is damaged: it names no sizes", origin);
  return sizes;
}

}  // namespace

ScalingStudy ScalingStudy::create(const fs::path& out, std::vector<ScalingSize> sizes,
                                  int64_t parallel, double noise, const StudyInfo& info) {
  create_study(out, {kKind,
                     {{"sizes", sizes_json(sizes)},
                      {"parallel", parallel},
                      {"loss_noise", noise},
                      {"command", info.command},
                      {"version", info.version}}});
  ScalingStudy study;
  study.out_ = out;
  study.sizes_ = std::move(sizes);
  study.parallel_ = parallel;
  study.noise_ = noise;
  study.info_ = info;
  return study;
}

ScalingStudy ScalingStudy::open(const fs::path& out) {
  const std::string file = (out / kStudyFile).string();
  const Json fields = open_study(out, kKind).fields;
  ScalingStudy study;
  study.out_ = out;
  try {
    study.sizes_ = sizes_of_json(fields.at("sizes"), file);
    study.parallel_ = fields.at("parallel").get<int64_t>();
    study.noise_ = fields.at("loss_noise").get<double>();
    study.info_ = {fields.at("command").get<std::string>(),
                   fields.at("version").get<std::string>()};
  } catch (const Json::exception& error) {
    fail(ErrorCode::kBadInput, "'{}' is damaged: {}", file, error.what());
  }
  return study;
}

int64_t ScalingStudy::steps_left() const {
  int64_t steps = 0;
  for (const ScalingSize& size : sizes_) steps += learn::steps_left(out_ / size.name, size.members);
  return steps;
}

Json ScalingStudy::run(const RunnerSetup& setup,
                       const std::function<void(const std::string&)>& on_size) const {
  std::vector<SizeResult> results;
  {
    const StudyLock lock(out_, setup.stop);
    for (const ScalingSize& size : sizes_) {
      const fs::path folder = out_ / size.name;
      if (on_size) on_size(size.name);
      const TwinStudy twin = TwinStudy::exists(folder)
                                 ? TwinStudy::open(folder)
                                 : TwinStudy::create(folder, size.members, parallel_, info_);
      twin.run(setup);
      results.push_back({size.name, {}});
      for (const TwinMember& member : twin.members()) {
        results.back().runs.push_back(read_run(folder / member.family));
      }
    }
  }
  return write_scaling(out_, results, noise_, info_);
}

Json write_scaling(const fs::path& out, const std::vector<SizeResult>& sizes, double noise,
                   const StudyInfo& info) {
  check_comparable(sizes);
  const std::vector<FamilyLaw> laws = fit_laws(sizes, noise);
  Json json = scaling_json(sizes, laws);
  json.update(provenance(info));
  const RunResult& first = sizes.front().runs.front();
  json["text"] = {{"fingerprint", first.data_fingerprint},
                  {"sequence_length", first.recipe.sequence_length},
                  {"validation_tokens", first.validation_tokens}};
  json["seed"] = first.recipe.seed;
  make_directories(out);
  write_page(out, "Scaling of families", json,
             {{"", plot::to_html(members_table(json))}, {"Laws", plot::to_html(laws_table(json))}},
             scaling_charts(json, laws, noise));
  write_text_file(out / "scaling.json", json.dump(2) + "\n");
  return json;
}

}  // namespace tercet::learn
