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

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
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

// What the control group (version 2) leaves. Pages of files that nobody has used lately count as
// free: the kernel drops them first.
std::optional<uint64_t> left_in_control_group() {
  std::ifstream self("/proc/self/cgroup");
  std::string line;
  if (!std::getline(self, line) || !line.starts_with("0::")) return std::nullopt;
  const std::string group = "/sys/fs/cgroup" + line.substr(3);
  const auto limit = number_after(group + "/memory.max", "");
  const auto used = number_after(group + "/memory.current", "");
  if (!limit || !used) return std::nullopt;
  const uint64_t droppable = number_after(group + "/memory.stat", "inactive_file ").value_or(0);
  const uint64_t held = *used - std::min(*used, droppable);
  return *limit - std::min(*limit, held);
}

}  // namespace

bool CpuInfo::has(const std::string& feature) const {
  return std::find(features.begin(), features.end(), feature) != features.end();
}

CpuInfo read_cpu_info() {
  CpuInfo info;
  info.model = "unknown";
  std::set<std::pair<std::string, std::string>> cores;  // (physical id, core id)
  std::string physical_id;
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) info.model = value_after_colon(line);
    if (line.starts_with("physical id")) physical_id = value_after_colon(line);
    if (line.starts_with("core id")) cores.emplace(physical_id, value_after_colon(line));
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
