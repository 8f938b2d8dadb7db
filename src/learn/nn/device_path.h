// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace tercet::learn {

// Whether the fused loops of the CPU take this tensor. Otherwise an operation is computed as on any
// other device.
bool runs_fused(const at::Tensor& x);

// While one exists, this thread computes on the CPU as on other devices: for tests, since no test
// machine need have another device.
class DevicePathGuard {
 public:
  DevicePathGuard();
  ~DevicePathGuard();
  DevicePathGuard(const DevicePathGuard&) = delete;
  DevicePathGuard& operator=(const DevicePathGuard&) = delete;

 private:
  bool before_;
};

}  // namespace tercet::learn
