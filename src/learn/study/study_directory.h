// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "formats/json.h"

namespace tercet::learn {

// OUT/study.json: what study a directory holds.
struct StudyRecord {
  std::string kind;  // "twin" or "scaling"
  Json fields;       // of that kind
};

inline constexpr const char* kStudyFile = "study.json";

// Writes study.json into a new or empty directory. Throws kUsage when it holds a study or anything
// else.
void create_study(const std::filesystem::path& out, const StudyRecord& record);

// Throws kUsage when there is none or one of another kind, kBadInput when it is damaged.
StudyRecord open_study(const std::filesystem::path& out, const std::string& kind);

// Keeps a second study, and what a killed one left running, away from a directory. Processes that
// are started inherit it.
class StudyLock {
 public:
  // `out` must exist. Waits up to half a minute for trainings of a killed study to save, unless
  // *stop becomes true. Throws kUsage when the directory is still in use then.
  StudyLock(const std::filesystem::path& out, const std::atomic<bool>* stop);
  ~StudyLock();
  StudyLock(const StudyLock&) = delete;
  StudyLock& operator=(const StudyLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace tercet::learn
