// SPDX-License-Identifier: Apache-2.0
//
// Speed of every kernel on every instruction set that this CPU can run. Columns: weights/s and
// bytes/s (bytes of weights as they are stored). Filter with --benchmark_filter=<regex>.
#include <benchmark/benchmark.h>

#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/half.h"
#include "core/rng.h"
#include "kernels/kernel_table.h"
#include "packing/ternary.h"

namespace tercet {
namespace {

struct Shape {
  int64_t rows;
  int64_t cols;
};
constexpr Shape kShapes[] = {{2560, 2560}, {6912, 2560}, {256, 256}};

// One matrix in one storage, and the call that multiplies it.
struct Case {
  std::string name;
  std::vector<uint8_t> bytes;
  std::function<void(const Case&)> multiply;
};

packing::TernaryMatrix random_ternary(const Shape& shape) {
  packing::TernaryMatrix matrix;
  matrix.rows = shape.rows;
  matrix.cols = shape.cols;
  matrix.scales = {1.0f};
  Rng rng(158);
  for (int64_t i = 0; i < shape.rows * shape.cols; ++i) {
    matrix.codes.push_back(static_cast<int8_t>(static_cast<int>(rng.below(3)) - 1));
  }
  return matrix;
}

std::vector<uint8_t> own_codes(packing::Layout layout, const packing::TernaryMatrix& matrix) {
  const std::vector<uint8_t> bytes = packing::encode_own(layout, matrix);
  const auto codes = packing::view_own(bytes, "bench").codes;
  return {codes.begin(), codes.end()};
}

template <class T>
std::vector<uint8_t> raw(const std::vector<T>& values) {
  std::vector<uint8_t> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// The activations and results that all cases of a shape share.
struct Vectors {
  std::vector<int8_t> q;
  std::vector<float> x;
  std::vector<int32_t> out_i32;
  std::vector<float> out_f32;

  explicit Vectors(const Shape& shape)
      : out_i32(static_cast<size_t>(shape.rows)), out_f32(static_cast<size_t>(shape.rows)) {
    Rng rng(2);
    for (int64_t i = 0; i < shape.cols; ++i) {
      q.push_back(static_cast<int8_t>(static_cast<int>(rng.below(256)) - 128));
      x.push_back(static_cast<float>(rng.uniform()) - 0.5f);
    }
  }
};

using OwnDot = void (*)(const uint8_t*, int64_t, int64_t, int64_t, const int8_t*, int32_t*);
using BlockDot = void (*)(const uint8_t*, int64_t, int64_t, const int8_t*, int32_t*);

Case own_case(const char* name, OwnDot dot, packing::Layout layout,
              const packing::TernaryMatrix& matrix, Vectors& vectors) {
  const int64_t rows = matrix.rows;
  const int64_t cols = matrix.cols;
  std::vector<uint8_t> bytes = own_codes(layout, matrix);
  const int64_t stride = static_cast<int64_t>(bytes.size()) / rows;
  return {name, std::move(bytes), [=, &vectors](const Case& self) {
            dot(self.bytes.data(), stride, rows, cols, vectors.q.data(), vectors.out_i32.data());
          }};
}

Case block_case(const char* name, BlockDot dot, std::vector<uint8_t> bytes, const Shape& shape,
                Vectors& vectors) {
  return {name, std::move(bytes), [=, &vectors](const Case& self) {
            dot(self.bytes.data(), shape.rows, shape.cols, vectors.q.data(),
                vectors.out_i32.data());
          }};
}

Case float_case(const char* name, void (*dot)(const void*, int64_t, int64_t, const float*, float*),
                std::vector<uint8_t> bytes, const Shape& shape, Vectors& vectors) {
  return {name, std::move(bytes), [=, &vectors](const Case& self) {
            dot(self.bytes.data(), shape.rows, shape.cols, vectors.x.data(),
                vectors.out_f32.data());
          }};
}

std::vector<uint8_t> f16_of(const packing::TernaryMatrix& matrix) {
  std::vector<uint16_t> halves;
  for (const int8_t code : matrix.codes) halves.push_back(f32_to_f16(code));
  return raw(halves);
}

std::vector<uint8_t> q8_0_of(const packing::TernaryMatrix& matrix) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i < matrix.codes.size(); ++i) {
    if (i % 32 == 0) bytes.insert(bytes.end(), {0x00, 0x3C});
    bytes.push_back(static_cast<uint8_t>(matrix.codes[i]));
  }
  return bytes;
}

std::vector<Case> make_cases(const KernelTable& table, const Shape& shape, Vectors& vectors) {
  const packing::TernaryMatrix matrix = random_ternary(shape);
  std::vector<Case> cases;
  cases.push_back(own_case("trit5", table.trit5_dot_i32, packing::Layout::kTrit5, matrix, vectors));
  cases.push_back(own_case("trit4", table.trit4_dot_i32, packing::Layout::kTrit4, matrix, vectors));
  cases.push_back(block_case("tq1_0", table.tq1_0_dot_i32, packing::encode_tq1_0(matrix, "bench"),
                             shape, vectors));
  cases.push_back(block_case("tq2_0", table.tq2_0_dot_i32, packing::encode_tq2_0(matrix, "bench"),
                             shape, vectors));
  const std::vector<float> floats(matrix.codes.begin(), matrix.codes.end());
  cases.push_back(float_case("f32", table.dot_f32, raw(floats), shape, vectors));
  cases.push_back(float_case("f16", table.dot_f16, f16_of(matrix), shape, vectors));
  cases.push_back(float_case("q8_0", table.dot_q8_0, q8_0_of(matrix), shape, vectors));
  return cases;
}

void measure(benchmark::State& state, const KernelTable& table, const Shape& shape,
             const std::string& kernel) {
  Vectors vectors(shape);
  const std::vector<Case> cases = make_cases(table, shape, vectors);
  for (const Case& candidate : cases) {
    if (candidate.name != kernel) continue;
    for (auto iteration : state) {
      candidate.multiply(candidate);
      benchmark::ClobberMemory();
    }
    const auto rate = benchmark::Counter::kIsIterationInvariantRate;
    state.counters["weights/s"] =
        benchmark::Counter(static_cast<double>(shape.rows * shape.cols), rate);
    state.counters["bytes/s"] =
        benchmark::Counter(static_cast<double>(candidate.bytes.size()), rate);
  }
}

void measure_quantizer(benchmark::State& state, const KernelTable& table) {
  Vectors vectors({1, 6912});
  for (auto iteration : state) {
    benchmark::DoNotOptimize(table.quantize_absmax_i8(vectors.x.data(), 6912, vectors.q.data()));
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * 6912);
}

void register_all() {
  for (const IsaEntry& isa : available_isas()) {
    if (!isa.usable) continue;
    const KernelTable& table = *isa.table;
    for (const Shape& shape : kShapes) {
      for (const char* kernel : {"trit5", "trit4", "tq1_0", "tq2_0", "f32", "f16", "q8_0"}) {
        const std::string name = std::string(table.name) + "/" + kernel + "/" +
                                 std::to_string(shape.rows) + "x" + std::to_string(shape.cols);
        benchmark::RegisterBenchmark(name.c_str(),
                                     [&table, shape, kernel](benchmark::State& state) {
                                       measure(state, table, shape, kernel);
                                     });
      }
    }
    benchmark::RegisterBenchmark(
        (std::string(table.name) + "/quantize/6912").c_str(),
        [&table](benchmark::State& state) { measure_quantizer(state, table); });
  }
}

}  // namespace
}  // namespace tercet

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  tercet::register_all();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
