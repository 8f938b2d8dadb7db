// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "formats/json.h"

namespace tercet::learn {

// What a machine can do, for plans. 0: unknown. Speeds are those of one rank.
struct PlanHardware {
  double gflops = 0;          // of products in f32; in double half of that is counted
  double bf16_gflops = 0;     // of products in bf16
  double memory_gbps = 0;     // GB/s, of sums over arrays that no cache holds
  double disk_gbps = 0;       // GB/s, read or written
  double network_gbps = 0;    // GB/s, between ranks
  int ranks = 1;              // that share the windows, and the rows of each map
  bool assumes_disk = false;  // set by settled()
  bool assumes_network = false;
};

// What is not given is measured on this machine (products, memory) or assumed: 0.5 GB/s for a disk,
// 1 GB/s for a network, bf16 as fast as a given f32, or where it is not used.
PlanHardware settled(PlanHardware given, bool uses_bf16);

Json to_json(const PlanHardware& hardware);

}  // namespace tercet::learn
