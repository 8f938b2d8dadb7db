// SPDX-License-Identifier: Apache-2.0
//
// What a parallel loop costs beside its work: ThreadPool::parallel_for with nothing to do, one
// range a thread, loops in a row ("hot") and after a pause ("woken"). Columns: time per loop.
#include <benchmark/benchmark.h>

#include <chrono>
#include <thread>

#include "core/cpu.h"
#include "core/thread_pool.h"

namespace tercet {
namespace {

void hot_loops(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  for (auto iteration : state) {
    pool.parallel_for(pool.size(), 1,
                      [](int64_t begin, int64_t) { benchmark::DoNotOptimize(begin); });
  }
}

void woken_loops(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  for (auto iteration : state) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(pool.size(), 1,
                      [](int64_t begin, int64_t) { benchmark::DoNotOptimize(begin); });
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    state.SetIterationTime(seconds.count());
  }
}

void thread_counts(benchmark::internal::Benchmark* benchmark) {
  for (int threads = 1; threads <= read_cpu_info().physical_cores; threads *= 2) {
    benchmark->Arg(threads);
  }
}

BENCHMARK(hot_loops)->Apply(thread_counts)->UseRealTime();
BENCHMARK(woken_loops)->Apply(thread_counts)->UseManualTime()->Iterations(200);

}  // namespace
}  // namespace tercet

BENCHMARK_MAIN();
