// SPDX-License-Identifier: Apache-2.0
//
// Speed of attention over one segment of a key-value cache and of the vector work of a layer, at
// the shapes of BitNet b1.58 2B4T (heads of 128, 4 query heads for each key-value head, rows of
// 2560 and 6912). Columns: MAC/s and bytes/s of keys and values. Filter with
// --benchmark_filter=<regex>.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "core/aligned_buffer.h"
#include "kernels/kernel_table.h"

namespace tercet {
namespace {

constexpr int64_t kHeadDim = 128;
constexpr int64_t kElementBytes[kKvTypes] = {4, 2, 2, 1};
constexpr const char* kTypeNames[kKvTypes] = {"f32", "f16", "bf16", "int8"};

void attention(benchmark::State& state, const KernelTable& table, int type, int64_t queries) {
  const int64_t bytes = kSegmentPositions * kHeadDim * kElementBytes[type];
  const AlignedBuffer keys(static_cast<size_t>(bytes));
  const AlignedBuffer values(static_cast<size_t>(bytes));
  const std::vector<float> scales(kSegmentPositions, 0.01f);
  const auto count = static_cast<size_t>(queries);
  const std::vector<float> packed(count * kHeadDim, 0.5f);
  const std::vector<int32_t> first(count, 0);
  const std::vector<int32_t> last(count, kSegmentPositions);
  std::vector<float> weights(count * kSegmentPositions);
  std::vector<float> maxima(count);
  std::vector<float> sums(count);
  std::vector<float> out(count * kHeadDim);
  AttentionCall call;
  call.keys = keys.data();
  call.values = values.data();
  call.key_scales = scales.data();
  call.value_scales = scales.data();
  call.head_dim = kHeadDim;
  call.query_count = queries;
  call.queries = packed.data();
  call.first = first.data();
  call.last = last.data();
  call.weights = weights.data();
  call.state = {maxima.data(), sums.data(), out.data()};
  for (auto iteration : state) {
    table.attend[static_cast<size_t>(type)](call);
    benchmark::ClobberMemory();
  }
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  const int64_t macs = 2 * queries * kSegmentPositions * kHeadDim;
  state.counters["MAC/s"] = benchmark::Counter(static_cast<double>(macs), rate);
  state.counters["bytes/s"] = benchmark::Counter(static_cast<double>(2 * bytes), rate);
}

template <class Run>
void vector_work(benchmark::State& state, int64_t width, Run run) {
  std::vector<float> x(static_cast<size_t>(width), 0.7f);
  const std::vector<float> y(static_cast<size_t>(width), 1.0f);
  for (auto iteration : state) {
    run(x.data(), y.data(), width);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * width);
}

template <class Function>
void add(const std::string& name, Function function) {
  benchmark::RegisterBenchmark(name.c_str(), function);
}

void register_isa(const KernelTable& table) {
  const std::string isa = table.name;
  for (int type = 0; type < kKvTypes; ++type) {
    for (const int64_t queries : {1, 4, 32}) {
      add(isa + "/attend/" + kTypeNames[type] + "/" + std::to_string(queries),
          [&table, type, queries](benchmark::State& state) {
            attention(state, table, type, queries);
          });
    }
  }
  add(isa + "/rms_norm/2560", [&table](benchmark::State& state) {
    vector_work(state, 2560,
                [&](float* x, const float* y, int64_t n) { table.rms_norm(x, y, n, 1e-5f, x); });
  });
  add(isa + "/relu2_gate/6912", [&table](benchmark::State& state) {
    vector_work(state, 6912,
                [&](float* x, const float* y, int64_t n) { table.relu2_gate(x, y, n, x); });
  });
  add(isa + "/silu_gate/6912", [&table](benchmark::State& state) {
    vector_work(state, 6912,
                [&](float* x, const float* y, int64_t n) { table.silu_gate(x, y, n, x); });
  });
  add(isa + "/quantize/6912", [&table](benchmark::State& state) {
    std::vector<int8_t> q(6912);
    vector_work(state, 6912, [&](float* x, const float*, int64_t n) {
      benchmark::DoNotOptimize(table.quantize_absmax_i8(x, n, q.data()));
    });
  });
}

}  // namespace
}  // namespace tercet

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  for (const tercet::IsaEntry& isa : tercet::available_isas()) {
    if (isa.usable) tercet::register_isa(*isa.table);
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
