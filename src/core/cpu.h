// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tercet {

// What the machine is, read once from the operating system and the CPU itself.
struct CpuInfo {
  std::string model;                  // marketing name, or "unknown"
  int logical_cores = 1;              // usable_cores()
  int physical_cores = 1;             // usable cores without their hyper-threads
  uint64_t memory_bytes = 0;          // installed
  std::vector<std::string> features;  // lower-case names: "avx2", "avx512f", "avx512_vnni", ...
  bool has(const std::string& feature) const;
};

CpuInfo read_cpu_info();

// Hardware threads that this process may use at a time: by its affinity, and by the processor quota
// of its control group (a container's limit).
int usable_cores();

// What can be allocated now without swapping, by the kernel's own estimate, and not more than the
// control group of this process (a container's limit) leaves. 0 when the system does not say.
uint64_t available_memory_bytes();

// What is installed, and not more than the control group allows. 0 when the system does not say.
uint64_t usable_memory_bytes();

// Peak resident set of this process in bytes.
uint64_t peak_rss_bytes();

}  // namespace tercet
