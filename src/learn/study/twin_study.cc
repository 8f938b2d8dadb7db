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

TwinStudy TwinStudy::create(const std::filesystem::path& out, std::vector<TwinMember> members,
                            int64_t parallel, const StudyInfo& info) {
  create_study(out, {kKind,
                     {{"members", to_json(members)},
                      {"parallel", parallel},
                      {"command", info.command},
                      {"version", info.version}}});
  return {out, std::move(members), parallel, info};
}

TwinStudy TwinStudy::open(const std::filesystem::path& out) {
  const std::string file = (out / kStudyFile).string();
  const Json fields = open_study(out, kKind).fields;
  try {
    return {out,
            members_of_json(fields.at("members"), file),
            fields.at("parallel").get<int64_t>(),
            {fields.at("command").get<std::string>(), fields.at("version").get<std::string>()}};
  } catch (const Json::exception& error) {
    fail(ErrorCode::kBadInput, "'{}' is damaged: {}", file, error.what());
  }
}

bool TwinStudy::exists(const std::filesystem::path& out) {
  return std::filesystem::exists(out / kStudyFile);
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
