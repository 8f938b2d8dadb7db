// SPDX-License-Identifier: Apache-2.0
#include "learn/study/twin_study.h"

#include "core/error.h"
#include "learn/study/study_directory.h"
#include "learn/study/twin_report.h"

namespace tercet::learn {
namespace {

constexpr const char* kKind = "twin";

}  // namespace

TwinStudy::TwinStudy(std::filesystem::path out, std::vector<TwinMember> members, int64_t parallel,
                     StudyInfo info)
    : out_(std::move(out)),
      members_(std::move(members)),
      parallel_(parallel),
      info_(std::move(info)) {}

TwinStudy TwinStudy::create(const std::filesystem::path& out, const TwinRequest& request,
                            const StudyInfo& info) {
  std::vector<TwinMember> members = plan_twin(request);
  Json families = Json::array();
  for (const TwinMember& member : members) families.push_back(member.family);
  create_study(out, {kKind,
                     {{"families", families},
                      {"parallel", request.parallel},
                      {"command", info.command},
                      {"version", info.version}}});
  write_recipes(out, members);
  return {out, std::move(members), request.parallel, info};
}

TwinStudy TwinStudy::open(const std::filesystem::path& out) {
  const Json fields = open_study(out, kKind).fields;
  try {
    std::vector<TwinMember> members =
        read_recipes(out, fields.at("families").get<std::vector<std::string>>());
    if (members.empty()) fail(ErrorCode::kBadInput, "'{}' names no families", out.string());
    check_same_tokens(members);
    return {out,
            std::move(members),
            fields.at("parallel").get<int64_t>(),
            {fields.at("command").get<std::string>(), fields.at("version").get<std::string>()}};
  } catch (const Json::exception& error) {
    fail(ErrorCode::kBadInput, "'{}' is damaged: {}", (out / kStudyFile).string(), error.what());
  }
}

int64_t TwinStudy::steps_left() const { return learn::steps_left(out_, members_); }

Json TwinStudy::run(RunnerSetup setup) const {
  {
    const StudyLock lock(out_, setup.stop);
    setup.parallel = parallel_;
    train_members(out_, members_, setup);
  }
  const std::vector<MemberCurves> curves = read_members(out_, members_);
  const Json twin = twin_json(curves, provenance(info_), data_json(members_.front().recipe.data));
  write_twin(out_, twin, curves);
  return twin;
}

}  // namespace tercet::learn
