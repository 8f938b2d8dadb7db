// SPDX-License-Identifier: Apache-2.0
// libtorch's header is empty without; some versions' CMake files define it.
#ifndef USE_C10D_NCCL
#define USE_C10D_NCCL
#endif

#include <chrono>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "learn/dist/backend.h"

namespace tercet::learn {

BackendPtr open_nccl(const BackendOptions& options) {
  const auto nccl = c10d::ProcessGroupNCCL::Options::create();
  // As for Gloo: the coordinator tells of ranks that are gone.
  nccl->timeout = std::chrono::hours(24);
  return c10::make_intrusive<c10d::ProcessGroupNCCL>(options.store, static_cast<int>(options.rank),
                                                     static_cast<int>(options.ranks), nccl);
}

}  // namespace tercet::learn
