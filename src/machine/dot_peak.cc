// SPDX-License-Identifier: Apache-2.0
#include "machine/dot_peak.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "machine/isa/dot_loops.h"

namespace tercet {
namespace {

double seconds_of(const DotLoop& loop, ThreadPool& pool, int64_t steps) {
  using Clock = std::chrono::steady_clock;
  std::atomic<uint32_t> sink{0};
  const auto body = [&](int64_t, int64_t) {
    uint32_t sum = 0;
    loop.run(steps, &sum);
    sink += sum;
  };
  const Clock::time_point start = Clock::now();
  pool.parallel_for(pool.size(), 1, body);
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

const DotLoop* find_dot_loop(std::string_view isa) {
  struct Entry {
    std::string_view isa;
    const DotLoop* loop;
  };
  const Entry entries[] = {
#ifdef TERCET_DOT_AVX512
      {"avx512vbmi", &kAvx512DotLoop},  {"avx512", &kAvx512DotLoop},
#endif
#ifdef TERCET_DOT_AVXVNNI
      {"avxvnni", &kAvxVnniDotLoop},
#endif
#ifdef TERCET_DOT_AVX2
      {"avx2", &kAvx2DotLoop},
#endif
#ifdef TERCET_DOT_NEON
      {"neon", &kNeonDotLoop},
#endif
#ifdef TERCET_DOT_NEON_I8MM
      {"neon_i8mm", &kNeonI8mmDotLoop},
#endif
      {"scalar", &kScalarDotLoop},
  };
  for (const Entry& entry : entries) {
    if (isa == entry.isa) return entry.loop;
  }
  return nullptr;
}

double measure_dot_peak(const DotLoop& loop, ThreadPool& pool) {
  constexpr int kRuns = 5;
  constexpr double kRunSeconds = 0.004;
  int64_t steps = 1000;
  while (seconds_of(loop, pool, steps) < kRunSeconds) steps *= 2;
  double best = seconds_of(loop, pool, steps);
  for (int run = 1; run < kRuns; ++run) best = std::min(best, seconds_of(loop, pool, steps));
  return static_cast<double>(steps * loop.macs_per_step) * pool.size() / best;
}

}  // namespace tercet
