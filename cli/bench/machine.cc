// SPDX-License-Identifier: Apache-2.0
#include "cli/bench/machine.h"

#include <fmt/format.h>

#include <string>

#include "cli/common/output.h"
#include "cli/common/side_by_side.h"
#include "cli/common/signals.h"
#include "core/cpu.h"
#include "machine/dot_peak.h"
#include "machine/memory_read.h"
#include "version/version.h"

namespace tercet::cli {
namespace {

constexpr int kPasses = 9;

Json measure(const DotLoop* loop, const MemoryReader& reader, int threads) {
  throw_if_stopped();
  ThreadPool pool(threads);
  const ReadSpeed memory = reader.measure(pool, kPasses);
  Json line = {{"threads", threads},
               {"memory_gb_per_s", memory.median / 1e9},
               {"memory_best_gb_per_s", memory.best / 1e9},
               {"dot_peak_macs_per_s", Json()}};
  if (loop != nullptr) line["dot_peak_macs_per_s"] = measure_dot_peak(*loop, pool);
  return line;
}

void print_table(const Json& report) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& line : report["results"]) {
    const Json& peak = line["dot_peak_macs_per_s"];
    rows.push_back({std::to_string(line["threads"].get<int>()),
                    fmt::format("{:.1f}", line["memory_gb_per_s"].get<double>()),
                    fmt::format("{:.1f}", line["memory_best_gb_per_s"].get<double>()),
                    peak.is_null() ? "-" : fmt::format("{:.3f}", peak.get<double>() / 1e12)});
  }
  print_text("{}, {}\n\n{}", report["cpu"].get<std::string>(), report["isa"].get<std::string>(),
             format_table(
                 {"threads", "memory GB/s", "best of " + std::to_string(kPasses), "TMAC/s"}, rows));
  print_text("\n  memory: plain reads of {} MiB; TMAC/s: 10^12 int8 multiply-adds, {}\n",
             MemoryReader::kDefaultBytes >> 20, report["dot_instruction"].get<std::string>());
}

}  // namespace

void bench_machine(const KernelTable& kernels, std::vector<int> threads, bool json) {
  const CpuInfo cpu = read_cpu_info();
  if (threads.empty()) threads = {cpu.physical_cores};
  const DotLoop* loop = find_dot_loop(kernels.name);
  const MemoryReader reader;
  Json results = Json::array();
  for (const int count : threads) results.push_back(measure(loop, reader, count));
  const Json report = {{"cpu", cpu.model},
                       {"physical_cores", cpu.physical_cores},
                       {"isa", kernels.name},
                       {"dot_instruction", loop != nullptr ? loop->instruction : "not known"},
                       {"version", version()},
                       {"results", results}};
  if (json) return print_json(report);
  print_table(report);
}

}  // namespace tercet::cli
