// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/plan_hardware.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>

namespace tercet::learn {
namespace {

constexpr double kAssumedDisk = 0.5;
constexpr double kAssumedNetwork = 1;
// Each of some milliseconds, so that one of them goes by undisturbed on a busy machine too.
constexpr int kTries = 20;

template <typename Action>
double fastest(Action action) {
  using Clock = std::chrono::steady_clock;
  action();
  double best = 1e9;
  for (int i = 0; i < kTries; ++i) {
    const Clock::time_point start = Clock::now();
    action();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

double measured_gflops(at::ScalarType type) {
  constexpr int64_t kSize = 512;
  const at::Tensor a = at::ones({kSize, kSize}, type);
  const double seconds = fastest([&] { at::matmul(a, a); });
  return 2.0 * kSize * kSize * kSize / seconds * 1e-9;
}

double measured_memory_gbps() {
  constexpr int64_t kFloats = int64_t{6} << 20;
  at::Tensor sum = at::zeros({kFloats}, at::kFloat);
  const at::Tensor other = at::ones({kFloats}, at::kFloat);
  const double seconds = fastest([&] { sum.add_(other); });
  return 3.0 * sizeof(float) * kFloats / seconds * 1e-9;
}

}  // namespace

PlanHardware settled(PlanHardware given, bool uses_bf16) {
  const bool is_elsewhere = given.gflops != 0;
  if (given.gflops == 0) given.gflops = measured_gflops(at::kFloat);
  if (given.bf16_gflops == 0) {
    given.bf16_gflops = is_elsewhere || !uses_bf16 ? given.gflops : measured_gflops(at::kBFloat16);
  }
  if (given.memory_gbps == 0) given.memory_gbps = measured_memory_gbps();
  given.assumes_disk = given.disk_gbps == 0;
  given.assumes_network = given.network_gbps == 0;
  if (given.assumes_disk) given.disk_gbps = kAssumedDisk;
  if (given.assumes_network) given.network_gbps = kAssumedNetwork;
  return given;
}

Json to_json(const PlanHardware& hardware) {
  return {{"gflops", hardware.gflops},
          {"bf16_gflops", hardware.bf16_gflops},
          {"memory_gb_per_s", hardware.memory_gbps},
          {"disk_gb_per_s", hardware.disk_gbps},
          {"network_gb_per_s", hardware.network_gbps},
          {"disk_is_assumed", hardware.assumes_disk},
          {"network_is_assumed", hardware.assumes_network},
          {"ranks", hardware.ranks}};
}

}  // namespace tercet::learn
