// SPDX-License-Identifier: Apache-2.0
// libtorch's header is empty without; some versions' CMake files define it.
#ifndef USE_C10D_GLOO
#define USE_C10D_GLOO
#endif

#include <chrono>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "learn/dist/backend.h"

namespace tercet::learn {

BackendPtr open_gloo(const BackendOptions& options) {
  // Gloo need not judge how long is too long: one rank may write a checkpoint while the others
  // wait, and the coordinator tells of ranks that are gone.
  const auto gloo = c10d::ProcessGroupGloo::Options::create(std::chrono::hours(24));
  gloo->threads = 2;
  gloo->devices.push_back(
      options.interface.empty()
          ? c10d::ProcessGroupGloo::createDeviceForHostname(options.address)
          : c10d::ProcessGroupGloo::createDeviceForInterface(options.interface));
  return c10::make_intrusive<c10d::ProcessGroupGloo>(options.store, static_cast<int>(options.rank),
                                                     static_cast<int>(options.ranks), gloo);
}

}  // namespace tercet::learn
