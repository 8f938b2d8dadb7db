// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/torch_session.h"

#include <ATen/Context.h>
#include <torch/cuda.h>
#include <torch/version.h>

#include <algorithm>

#include "core/cpu.h"
#include "core/error.h"
#include "learn/nn/threads.h"

namespace tercet::learn {

at::Device parse_device(const std::string& name) {
  if (name != "cuda" || at::hasCUDA()) return at::Device(name);
  if (at::globalContext().hasCUDART()) {
    fail(ErrorCode::kUnsupported,
         "device is 'cuda', but libtorch {} sees no GPU here; nvidia-smi should list one, "
         "CUDA_VISIBLE_DEVICES may hide it; or use cpu",
         TORCH_VERSION);
  }
  fail(ErrorCode::kUnsupported,
       "device is 'cuda', but libtorch {} is built without it; build against one with CUDA (cmake "
       "--preset cuda) or use cpu",
       TORCH_VERSION);
}

at::Device open_device(const std::string& name, Team team) {
  at::Device device = parse_device(name);
  if (team.group() == nullptr) return device;
  if (device.is_cuda()) {
    const auto gpus = static_cast<int64_t>(torch::cuda::device_count());
    const int64_t rank = team.group()->local_rank();
    // Slurm may show each rank only the one that it is to use.
    if (rank >= gpus && gpus != 1) {
      fail(ErrorCode::kUsage,
           "this machine has {} GPUs, too few for the ranks that were started on it; start one per "
           "GPU",
           gpus);
    }
    device.set_index(static_cast<at::DeviceIndex>(gpus == 1 ? 0 : rank));
  }
  team.group()->open(device);
  return device;
}

void settle_threads(Recipe& recipe, int64_t sharing) {
  if (recipe.threads == 0) {
    recipe.threads = std::max<int64_t>(1, read_cpu_info().physical_cores / sharing);
  }
  set_compute_threads(static_cast<int>(recipe.threads));
}

void rethrow_torch_error(const c10::Error& error, const char* to_lower) {
  // What follows the first line is a stack trace.
  std::string message = error.what_without_backtrace();
  message = message.substr(0, message.find('\n'));
  if (message.find("not enough memory") != std::string::npos ||
      message.find("out of memory") != std::string::npos) {
    fail(ErrorCode::kUsage, "there is not enough memory for this; lower {}", to_lower);
  }
  fail(ErrorCode::kInternal, "libtorch: {}", message);
}

}  // namespace tercet::learn
