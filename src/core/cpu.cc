// SPDX-License-Identifier: Apache-2.0
#include "core/cpu.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
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
