// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/device_path.h"

namespace tercet::learn {
namespace {

thread_local bool forced = false;

}  // namespace

bool runs_fused(const at::Tensor& x) { return x.is_cpu() && !forced; }

DevicePathGuard::DevicePathGuard() : before_(forced) { forced = true; }
DevicePathGuard::~DevicePathGuard() { forced = before_; }

}  // namespace tercet::learn
