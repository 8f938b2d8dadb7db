// SPDX-License-Identifier: Apache-2.0
// Ranks as threads of one process, on loopback.
#pragma once

#include <unistd.h>

#include <chrono>
#include <functional>
#include <future>
#include <vector>

#include "learn/dist/process_group.h"
#include "learn/dist/socket.h"

namespace tercet::learn::testing {

// Runs `body` as each of `ranks` ranks.
inline void as_ranks(int64_t ranks, const std::function<void(ProcessGroup&)>& body) {
  const Socket listener = listen_on("127.0.0.1", 0);  // so that nobody takes the port meanwhile
  const uint16_t port = listener.local_port();
  Patience patience;
  patience.join = std::chrono::seconds(30);
  std::vector<std::future<void>> running;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    running.push_back(std::async(std::launch::async, [&, rank] {
      const int descriptor = rank == 0 ? ::dup(listener.get()) : -1;
      ProcessGroup group({rank, ranks, "127.0.0.1", port, descriptor, ""}, patience, nullptr,
                         nullptr);
      group.open(at::kCPU);
      body(group);
    }));
  }
  for (auto& one : running) one.get();
}

}  // namespace tercet::learn::testing
