// SPDX-License-Identifier: Apache-2.0
//
// Speed of every matrix kernel on every instruction set that this CPU can run, on one thread, with
// weights in the second-level cache and with weights in memory. Columns: MAC/s, bytes/s of weights,
// and what part they are of this machine's bounds, measured at the start: the peak of the set's
// int8 dot product and a plain read of memory. Filter with --benchmark_filter=<regex>.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "core/aligned_buffer.h"
#include "core/rng.h"
#include "kernels/kernel_table.h"
#include "kernels/panel_source.h"
#include "machine/dot_peak.h"
#include "machine/memory_read.h"

namespace tercet {
namespace {

constexpr int64_t kCols = 2560;
constexpr int64_t kCachedBytes = int64_t{512} << 10;
constexpr int64_t kMemoryBytes = int64_t{192} << 20;

// What this machine can do, on one thread.
struct Bounds {
  double memory_bytes_per_s = 0;
  std::map<std::string, double> dot_macs_per_s;  // by instruction set
};

Bounds measure_bounds() {
  ThreadPool pool(1);
  Bounds bounds;
  bounds.memory_bytes_per_s = MemoryReader().measure(pool, 15).best;
  benchmark::AddCustomContext("memory_gb_per_s",
                              fmt::format("{:.2f}", bounds.memory_bytes_per_s / 1e9));
  for (const IsaEntry& isa : available_isas()) {
    const DotLoop* loop = find_dot_loop(isa.table->name);
    if (!isa.usable || loop == nullptr) continue;
    const double peak = measure_dot_peak(*loop, pool);
    bounds.dot_macs_per_s[isa.table->name] = peak;
    benchmark::AddCustomContext(fmt::format("dot_peak_gmacs_per_s_{}", isa.table->name),
                                fmt::format("{:.1f} ({})", peak / 1e9, loop->instruction));
  }
  return bounds;
}

void count(benchmark::State& state, int64_t macs, int64_t bytes) {
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["MAC/s"] = benchmark::Counter(static_cast<double>(macs), rate);
  state.counters["bytes/s"] = benchmark::Counter(static_cast<double>(bytes), rate);
}

void count_shares(benchmark::State& state, int64_t macs, double dot_peak, int64_t bytes,
                  double memory) {
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  if (dot_peak > 0) {
    state.counters["of_dot_peak"] = benchmark::Counter(static_cast<double>(macs) / dot_peak, rate);
  }
  if (memory > 0) {
    state.counters["of_memory"] = benchmark::Counter(static_cast<double>(bytes) / memory, rate);
  }
}

AlignedBuffer random_bytes(int64_t size) {
  AlignedBuffer buffer(static_cast<size_t>(size));
  Rng rng(158);
  for (uint8_t& byte : buffer.bytes()) byte = static_cast<uint8_t>(rng.next() >> 56);
  return buffer;
}

// Panels of random bytes times one tile of tokens. Bytes that stand for no codes cost the same.
void panels(benchmark::State& state, const KernelTable& table, const PanelSource& source, int tile,
            int64_t target_bytes, double dot_peak, double memory) {
  const PanelShape one = panel_shape(source, table.panel_rows, kCols, kCols, table.panel_rows);
  const int64_t count_of_panels = std::max<int64_t>(1, target_bytes / one.panel_bytes);
  const int64_t rows = count_of_panels * table.panel_rows;
  const AlignedBuffer weights = random_bytes(count_of_panels * one.panel_bytes);
  const std::vector<int8_t> q(static_cast<size_t>(tile * kCols), 3);
  std::vector<int8_t> places(
      static_cast<size_t>(one.row_units() * fields_of(source.format) * 4 * tile));
  std::vector<int32_t> sums(static_cast<size_t>(tile));
  arrange_tile(source, q.data(), tile, kCols, kCols, tile, places.data(), sums.data());
  const std::vector<float> token_scales(static_cast<size_t>(tile), 1.0f);
  const float scale = 1.0f;
  std::vector<float> out(static_cast<size_t>(rows * tile));
  PanelCall call;
  call.panels = weights.data();
  call.panel_count = count_of_panels;
  call.units = one.units;
  call.last_units = one.last_units;
  call.gain = source.gain;
  call.offset = source.offset;
  call.w_scales = &scale;
  call.tile = {tile, places.data(), sums.data(), token_scales.data()};
  call.tokens = tile;
  call.rows = rows;
  call.out = out.data();
  call.out_stride = rows;
  const auto kernel = table.panel_dot[static_cast<size_t>(source.format)];
  for (auto iteration : state) {
    kernel(call);
    benchmark::ClobberMemory();
  }
  const int64_t macs = rows * kCols * tile;
  const auto bytes = static_cast<int64_t>(weights.size());
  count(state, macs, bytes);
  count_shares(state, macs, dot_peak, bytes, memory);
}

using FloatDot = void (*)(const void*, int64_t, int64_t, const float*, float*);

void floats(benchmark::State& state, FloatDot dot, int64_t row_bytes, int64_t target_bytes,
            double memory) {
  const int64_t rows = target_bytes / row_bytes;
  AlignedBuffer weights(static_cast<size_t>(rows * row_bytes));
  std::fill_n(weights.data(), weights.size(), uint8_t{0x11});
  const std::vector<float> x(kCols, 0.5f);
  std::vector<float> out(static_cast<size_t>(rows));
  for (auto iteration : state) {
    dot(weights.data(), rows, kCols, x.data(), out.data());
    benchmark::ClobberMemory();
  }
  count(state, rows * kCols, rows * row_bytes);
  count_shares(state, 0, 0, rows * row_bytes, memory);
}

void quantizer(benchmark::State& state, const KernelTable& table) {
  const std::vector<float> x(6912, 0.25f);
  std::vector<int8_t> q(x.size());
  for (auto iteration : state) {
    benchmark::DoNotOptimize(
        table.quantize_absmax_i8(x.data(), static_cast<int64_t>(x.size()), q.data()));
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * 6912);
}

void add(const std::string& name, std::function<void(benchmark::State&)> body) {
  benchmark::RegisterBenchmark(name.c_str(), std::move(body));
}

void register_panels(const KernelTable& table, const Bounds& bounds, double dot_peak) {
  const std::pair<const char*, PanelSource> sources[] = {
      {"trit5", panel_source(packing::Layout::kTrit5)},
      {"trit4", panel_source(packing::Layout::kTrit4)},
      {"sign8", panel_source(packing::Layout::kSign8)},
      {"nibble", nibble_source()}};
  for (const auto& [name, source] : sources) {
    if (table.panel_dot[static_cast<size_t>(source.format)] == nullptr) continue;
    for (const int tile : table.tiles) {
      add(fmt::format("{}/{}/{}_tokens/cache", table.name, name, tile),
          [=, &table, source = source](benchmark::State& state) {
            panels(state, table, source, tile, kCachedBytes, dot_peak, 0);
          });
    }
    add(fmt::format("{}/{}/1_tokens/memory", table.name, name),
        [=, &table, &bounds, source = source](benchmark::State& state) {
          panels(state, table, source, 1, kMemoryBytes, dot_peak, bounds.memory_bytes_per_s);
        });
  }
}

void register_all(const Bounds& bounds) {
  for (const IsaEntry& isa : available_isas()) {
    if (!isa.usable) continue;
    const KernelTable& table = *isa.table;
    const auto peak = bounds.dot_macs_per_s.find(table.name);
    register_panels(table, bounds, peak == bounds.dot_macs_per_s.end() ? 0 : peak->second);
    const std::tuple<const char*, FloatDot, int64_t> dots[] = {
        {"f32", table.dot_f32, kCols * 4},
        {"f16", table.dot_f16, kCols * 2},
        {"bf16", table.dot_bf16, kCols * 2},
        {"q8_0", table.dot_q8_0, kCols / 32 * 34}};
    for (const auto& [name, dot, row_bytes] : dots) {
      add(fmt::format("{}/{}/memory", table.name, name),
          [=, &bounds, dot = dot, row_bytes = row_bytes](benchmark::State& state) {
            floats(state, dot, row_bytes, kMemoryBytes, bounds.memory_bytes_per_s);
          });
    }
    add(fmt::format("{}/quantize/6912", table.name),
        [&table](benchmark::State& state) { quantizer(state, table); });
  }
}

}  // namespace
}  // namespace tercet

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const tercet::Bounds bounds = tercet::measure_bounds();
  tercet::register_all(bounds);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
