// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/version.h>

#include <cstdint>
#include <string>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#if TORCH_VERSION_MAJOR >= 2
#include <torch/csrc/distributed/c10d/Backend.hpp>
#endif

namespace tercet::learn {

// What carries out collective operations; libtorch renamed it.
#if TORCH_VERSION_MAJOR >= 2
using Backend = c10d::Backend;
#else
using Backend = c10d::ProcessGroup;
#endif
using BackendPtr = c10::intrusive_ptr<Backend>;

struct BackendOptions {
  c10::intrusive_ptr<c10d::Store> store;
  int64_t rank = 0;
  int64_t ranks = 1;
  std::string address;    // of this machine, for the others to reach
  std::string interface;  // wins over the address when not empty
};

// Gloo, for tensors in main memory, and NCCL, for those of NVIDIA's GPUs. Each waits for the other
// ranks, and throws kUnsupported when libtorch or this build is without it.
BackendPtr open_gloo(const BackendOptions& options);
BackendPtr open_nccl(const BackendOptions& options);

}  // namespace tercet::learn
