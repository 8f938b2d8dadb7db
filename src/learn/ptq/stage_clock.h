// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace tercet::learn {

// Where the seconds of a run go: each stage counts what passes inside it, other stages that begin
// meanwhile excluded.
class StageClock {
 public:
  using Clock = std::chrono::steady_clock;

  void enter(const char* stage) {
    turn();
    stages_.emplace_back(stage);
  }
  void leave() {
    turn();
    stages_.pop_back();
  }
  const std::map<std::string, double>& seconds() const { return seconds_; }

 private:
  void turn() {
    const Clock::time_point now = Clock::now();
    if (!stages_.empty()) {
      seconds_[stages_.back()] += std::chrono::duration<double>(now - since_).count();
    }
    since_ = now;
  }

  std::map<std::string, double> seconds_;
  std::vector<const char*> stages_;
  Clock::time_point since_;
};

// A stage from here to the end of the scope; clock may be null.
class StageScope {
 public:
  StageScope(StageClock* clock, const char* stage) : clock_(clock) {
    if (clock_ != nullptr) clock_->enter(stage);
  }
  ~StageScope() {
    if (clock_ != nullptr) clock_->leave();
  }
  StageScope(const StageScope&) = delete;
  StageScope& operator=(const StageScope&) = delete;

 private:
  StageClock* clock_;
};

inline constexpr const char* kReadStage = "read";
inline constexpr const char* kForwardStage = "forward";
inline constexpr const char* kMomentsStage = "moments";
inline constexpr const char* kSolverStage = "solver";
inline constexpr const char* kTrainingStage = "training";
inline constexpr const char* kTuningStage = "last pass";
inline constexpr const char* kWriteStage = "write";

}  // namespace tercet::learn
