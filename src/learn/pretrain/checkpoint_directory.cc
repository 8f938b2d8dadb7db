// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/checkpoint_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "core/error.h"
#include "core/file.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step-";
constexpr const char* kBest = "best";

// The step in a name that checkpoint_path() makes; nothing for any other name.
std::optional<int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const std::string digits = name.substr(kPrefix.size());
  const bool plain = digits.size() >= 8 && digits.size() <= 12 &&
                     digits.find_first_not_of("0123456789") == std::string::npos;
  if (!plain) return std::nullopt;
  return std::stoll(digits);
}

// Finished checkpoints by their steps.
std::map<int64_t, fs::path> finished_checkpoints(const fs::path& out) {
  std::map<int64_t, fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(out / "checkpoints", error)) {
    const auto step = step_of(entry.path().filename().string());
    if (step && entry.is_directory(error)) found[*step] = entry.path();
  }
  return found;
}

// Whether `best` is a link, or could become one.
bool is_ours(const fs::path& best) {
  std::error_code error;
  return fs::is_symlink(best, error) || !fs::exists(best, error);
}

// `best` points to `target`, at every moment to the old or the new one. Where the file system has
// no links there is none: the checkpoint itself is kept all the same.
void link_best(const fs::path& best, const fs::path& target) {
  fs::path fresh = best;
  fresh += kUnfinished;
  std::error_code error;
  if (fs::read_symlink(best, error) == target.filename()) return;
  fs::remove(fresh, error);
  fs::create_directory_symlink(target.filename(), fresh, error);
  if (error == std::errc::operation_not_permitted || error == std::errc::not_supported) return;
  if (error) fail(ErrorCode::kIo, "cannot make '{}': {}", fresh.string(), error.message());
  rename_durably(fresh, best);
}

}  // namespace

fs::path checkpoint_path(const fs::path& out, int64_t step) {
  return out / "checkpoints" / fmt::format("{}{:08}", kPrefix, step);
}

std::optional<fs::path> newest_checkpoint(const fs::path& out) {
  return newest_checkpoint(out, INT64_MAX);
}

std::optional<fs::path> newest_checkpoint(const fs::path& out, int64_t most_steps) {
  std::optional<fs::path> newest;
  for (const auto& [step, path] : finished_checkpoints(out)) {
    if (step <= most_steps) newest = path;
  }
  return newest;
}

int64_t count_checkpoints(const fs::path& out) {
  return static_cast<int64_t>(finished_checkpoints(out).size());
}

void remove_unfinished(const fs::path& out) {
  std::vector<fs::path> leftovers;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(out / "checkpoints", error)) {
    const std::string name = entry.path().filename().string();
    const size_t end = name.size() - std::min(name.size(), std::string_view(kUnfinished).size());
    if (name.substr(end) == kUnfinished && step_of(name.substr(0, end))) {
      leftovers.push_back(entry.path());
    }
  }
  for (const fs::path& leftover : leftovers) remove_directory(leftover);
}

void retain_checkpoints(const fs::path& out, int64_t keep, int64_t best_step) {
  const std::map<int64_t, fs::path> all = finished_checkpoints(out);
  const fs::path best = out / "checkpoints" / kBest;
  if (is_ours(best)) {
    // Before the removal: it must never point to what is gone.
    std::error_code ignored;
    if (all.count(best_step) != 0) {
      link_best(best, all.at(best_step));
    } else if (!fs::exists(best)) {
      fs::remove(best, ignored);
    }
  }
  auto removable = static_cast<int64_t>(all.size()) - keep;
  for (const auto& [step, path] : all) {
    if (removable-- <= 0) break;
    if (step != best_step) remove_directory(path);
  }
}

void remove_directory(const fs::path& directory) {
  std::error_code error;
  fs::remove_all(directory, error);
  if (error) {
    fail(ErrorCode::kIo, "cannot remove '{}': {}", directory.string(), error.message());
  }
}

void rename_durably(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) {
    fail(ErrorCode::kIo, "cannot rename '{}' to '{}': {}", from.string(), to.string(),
         error.message());
  }
  sync_directory(to.parent_path());
}

}  // namespace tercet::learn
