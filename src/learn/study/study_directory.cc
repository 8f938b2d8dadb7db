// SPDX-License-Identifier: Apache-2.0
#include "learn/study/study_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>

#include "core/error.h"
#include "core/file.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLockFile = ".lock";

}  // namespace

void create_study(const fs::path& out, const StudyRecord& record) {
  if (fs::exists(out / kStudyFile)) {
    fail(ErrorCode::kUsage,
         "'{}' already holds a study; continue it with --resume or choose "
         "another --out",
         out.string());
  }
  std::error_code ignored;
  if (fs::exists(out) && !fs::is_empty(out, ignored)) {
    fail(ErrorCode::kUsage, "'{}' is not empty and holds no study; choose another --out",
         out.string());
  }
  make_directories(out);
  Json json = record.fields;
  json["kind"] = record.kind;
  json["format"] = 1;
  write_text_file(out / kStudyFile, json.dump(2) + "\n");
}

StudyRecord open_study(const fs::path& out, const std::string& kind) {
  const fs::path file = out / kStudyFile;
  if (!fs::exists(file)) {
    fail(ErrorCode::kUsage, "'{}' holds no study to resume; start one without --resume",
         out.string());
  }
  const Json json = read_json_file(file);
  if (!json.is_object() || !json.contains("kind") || !json["kind"].is_string()) {
    fail(ErrorCode::kBadInput, "'{}' is damaged: it does not say what kind of study it is",
         file.string());
  }
  StudyRecord record{json["kind"].get<std::string>(), json};
  if (record.kind != kind) {
    fail(ErrorCode::kUsage,
         "'{}' holds another kind of study: continue it with `tercet {} --resume`", out.string(),
         record.kind);
  }
  return record;
}

StudyLock::StudyLock(const fs::path& out, const std::atomic<bool>* stop) {
  constexpr int kTries = 150;  // a fifth of a second each
  const fs::path file = out / kLockFile;
  // Without O_CLOEXEC: the lock holds until the last process that has it open is gone.
  descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT, 0644);
  if (descriptor_ < 0) {
    const int number = errno;
    fail(ErrorCode::kIo, "cannot write '{}': {}", file.string(), errno_text(number));
  }
  for (int i = 0; ::flock(descriptor_, LOCK_EX | LOCK_NB) != 0; ++i) {
    if (i < kTries && !(stop != nullptr && *stop)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      continue;
    }
    ::close(descriptor_);
    fail(ErrorCode::kUsage, "another study, or a training that one left, still works in '{}'",
         out.string());
  }
}

StudyLock::~StudyLock() { ::close(descriptor_); }

}  // namespace tercet::learn
