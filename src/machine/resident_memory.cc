// SPDX-License-Identifier: Apache-2.0
#include "machine/resident_memory.h"

#include <unistd.h>

#include <fstream>

namespace tercet {

uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t total_pages = 0;
  uint64_t resident_pages = 0;
  file >> total_pages >> resident_pages;
  const long page = sysconf(_SC_PAGESIZE);
  return file && page > 0 ? resident_pages * static_cast<uint64_t>(page) : 0;
}

}  // namespace tercet
