// SPDX-License-Identifier: Apache-2.0
#include "learn/study/member_runner.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include "core/error.h"
#include "core/file.h"
#include "learn/pretrain/checkpoint.h"
#include "learn/pretrain/checkpoint_directory.h"
#include "learn/study/training_process.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;

bool is_finished(const fs::path& run) { return fs::exists(run / "training.json"); }

// The step in the name of the newest checkpoint, "step-00000100".
int64_t steps_done(const fs::path& run) {
  const auto checkpoint = newest_checkpoint(run);
  if (!checkpoint) return 0;
  const std::string name = checkpoint->filename().string();
  return std::stoll(name.substr(name.rfind('-') + 1));
}

struct Running {
  const TwinMember* member;
  std::unique_ptr<TrainingProcess> process;
};

Running start_member(const fs::path& out, const TwinMember& member, const RunnerSetup& setup) {
  const fs::path run = out / member.family;
  std::vector<std::string> arguments = {"pretrain", "--json", "--out", run.string()};
  if (newest_checkpoint(run)) {
    arguments.emplace_back("--resume");
  } else {
    const fs::path recipe = out / (member.family + ".recipe.json");
    write_text_file(recipe, to_json(member.recipe).dump(2) + "\n");
    arguments.insert(arguments.end(), {"--config", recipe.string()});
  }
  return {&member, std::make_unique<TrainingProcess>(setup.program, arguments, out, member.family)};
}

ErrorCode code_of_status(int status) {
  switch (status) {
    case 2:
      return ErrorCode::kUsage;
    case 3:
      return ErrorCode::kBadInput;
    case 4:
      return ErrorCode::kIo;
    case 130:
      return ErrorCode::kInterrupted;
    default:
      return ErrorCode::kInternal;
  }
}

[[noreturn]] void fail_member(const Running& member, int status) {
  const std::string& family = member.member->family;
  if (status > 128 && status != 130) {
    fail(ErrorCode::kIo,
         "the training of {} was killed by signal {} (9 often means that memory ran out); continue "
         "with --resume",
         family, status - 128);
  }
  const std::string words = member.process->last_words();
  fail(code_of_status(status), "{}: {}", family,
       words.empty() ? fmt::format("its training ended with status {}", status) : words);
}

bool is_set(const std::atomic<bool>* flag) { return flag != nullptr && *flag; }

class Runner {
 public:
  Runner(const fs::path& out, const std::vector<TwinMember>& members, const RunnerSetup& setup)
      : out_(out), setup_(setup) {
    for (const TwinMember& member : members) {
      if (!is_finished(out / member.family)) waiting_.push_back(&member);
    }
    std::reverse(waiting_.begin(), waiting_.end());
  }

  void run() {
    while (!waiting_.empty() || !running_.empty()) {
      if (is_set(setup_.stop)) interrupt();
      while (!waiting_.empty() && running_.size() < static_cast<size_t>(setup_.parallel)) {
        running_.push_back(start_member(out_, *waiting_.back(), setup_));
        waiting_.pop_back();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      // Not a range: take_ended() removes.
      for (size_t i = 0; i < running_.size();) i += take_ended(i) ? 0 : 1;
    }
  }

 private:
  void tell_events(Running& member) {
    for (const Json& event : member.process->new_events()) {
      if (setup_.on_event) setup_.on_event(member.member->family, event);
    }
  }

  // Whether the i-th had ended; it is gone then.
  bool take_ended(size_t i) {
    const std::optional<int> status = running_[i].process->exit_status();
    tell_events(running_[i]);
    if (!status) return false;
    const Running ended = std::move(running_[i]);
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
    if (*status == 0) return true;
    if (is_set(setup_.stop)) interrupt();
    stop_all();
    fail_member(ended, *status);
  }

  void stop_all() {
    for (Running& member : running_) member.process->request_stop();
    running_.clear();  // waits
  }

  [[noreturn]] void interrupt() {
    stop_all();
    fail(ErrorCode::kInterrupted, "interrupted, trainings are saved; continue with --resume");
  }

  fs::path out_;
  const RunnerSetup& setup_;
  std::vector<const TwinMember*> waiting_;  // the next one last
  std::vector<Running> running_;
};

}  // namespace

void train_members(const fs::path& out, const std::vector<TwinMember>& members,
                   const RunnerSetup& setup) {
  Runner(out, members, setup).run();
}

int64_t steps_left(const fs::path& out, const std::vector<TwinMember>& members) {
  int64_t steps = 0;
  for (const TwinMember& member : members) {
    const fs::path run = out / member.family;
    if (is_finished(run)) continue;
    steps += member.recipe.steps - steps_done(run);
  }
  return steps;
}

}  // namespace tercet::learn
