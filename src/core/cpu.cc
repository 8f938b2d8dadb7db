// SPDX-License-Identifier: Apache-2.0
#include "core/cpu.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

namespace tercet {
namespace {

std::string value_after_colon(const std::string& line) {
  const size_t colon = line.find(':');
  if (colon == std::string::npos || colon + 2 > line.size()) return "";
  return line.substr(colon + 2);
}

// The number after `key` in a file of "key number" lines; nothing when it is not there.
std::optional<uint64_t> number_after(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const char* digits = line.c_str() + key.size();
    char* end = nullptr;
    const uint64_t value = std::strtoull(digits, &end, 10);
    if (end != digits) return value;  // "max" is no limit
  }
  return std::nullopt;
}

// The folder of this process's control group (version 2), "" when there is none.
std::string control_group() {
  std::ifstream self("/proc/self/cgroup");
  std::string line;
  if (!std::getline(self, line) || !line.starts_with("0::")) return "";
  return "/sys/fs/cgroup" + line.substr(3);
}

// What the control group leaves. Pages of files count as free: the kernel drops them first.
std::optional<uint64_t> left_in_control_group() {
  const std::string group = control_group();
  if (group.empty()) return std::nullopt;
  const auto limit = number_after(group + "/memory.max", "");
  const auto used = number_after(group + "/memory.current", "");
  if (!limit || !used) return std::nullopt;
  const uint64_t droppable = number_after(group + "/memory.stat", "inactive_file ").value_or(0) +
                             number_after(group + "/memory.stat", "active_file ").value_or(0);
  const uint64_t held = *used - std::min(*used, droppable);
  return *limit - std::min(*limit, held);
}

// Cores that the control group lets this process use at a time, as containers limit them.
std::optional<int> cores_of_control_group() {
  std::ifstream file(control_group() + "/cpu.max");
  int64_t quota = 0;
  int64_t period = 0;
  if (!(file >> quota >> period) || quota < 1 || period < 1)
    return std::nullopt;  // "max": no limit
  return static_cast<int>(std::clamp<int64_t>((quota - 1) / period + 1, 1, 1 << 20));
}

// The cores that this process may be scheduled on; nothing when the system does not say.
std::optional<cpu_set_t> affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0 || CPU_COUNT(&set) == 0) return std::nullopt;
  return set;
}

}  // namespace

bool CpuInfo::has(const std::string& feature) const {
  return std::find(features.begin(), features.end(), feature) != features.end();
}

int usable_cores() {
  const auto set = affinity();
  const int scheduled =
      set ? CPU_COUNT(&*set) : static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  return std::min(scheduled, cores_of_control_group().value_or(scheduled));
}

CpuInfo read_cpu_info() {
  CpuInfo info;
  info.model = "unknown";
  const auto set = affinity();
  std::set<std::pair<std::string, std::string>> cores;  // (physical id, core id), usable ones only
  std::string physical_id;
  bool usable = true;
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) info.model = value_after_colon(line);
    if (line.starts_with("processor")) {
      const size_t number = std::strtoul(value_after_colon(line).c_str(), nullptr, 10);
      usable = !set || (number < CPU_SETSIZE && CPU_ISSET(number, &*set));
    }
    if (line.starts_with("physical id")) physical_id = value_after_colon(line);
    if (line.starts_with("core id") && usable) cores.emplace(physical_id, value_after_colon(line));
    if ((line.starts_with("flags") || line.starts_with("Features")) && info.features.empty()) {
      std::istringstream words(value_after_colon(line));
      for (std::string word; words >> word;) info.features.push_back(word);
    }
  }
  info.logical_cores = usable_cores();
  const int physical = cores.empty() ? info.logical_cores : static_cast<int>(cores.size());
  info.physical_cores = std::clamp(physical, 1, info.logical_cores);
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page = sysconf(_SC_PAGESIZE);
  if (pages > 0 && page > 0) {
    info.memory_bytes = static_cast<uint64_t>(pages) * static_cast<uint64_t>(page);
  }
  return info;
}

uint64_t available_memory_bytes() {
  const uint64_t machine = number_after("/proc/meminfo", "MemAvailable:").value_or(0) * 1024;
  const auto group = left_in_control_group();
  if (!group) return machine;
  return machine == 0 ? *group : std::min(machine, *group);
}

uint64_t usable_memory_bytes() {
  const uint64_t machine = number_after("/proc/meminfo", "MemTotal:").value_or(0) * 1024;
  const std::string group = control_group();
  const auto limit = group.empty() ? std::nullopt : number_after(group + "/memory.max", "");
  if (!limit) return machine;
  return machine == 0 ? *limit : std::min(machine, *limit);
}

// Not getrusage(): its figure survives exec(), so that a small program started by a large one would
// report the large one's peak.
uint64_t peak_rss_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::strtoull(line.c_str() + 6, nullptr, 10) * 1024;
  }
  return 0;
}

}  // namespace tercet
