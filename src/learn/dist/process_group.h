// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "learn/dist/launch.h"
#include "learn/dist/member.h"

namespace tercet::learn {

// A collective operation under way.
class Transfer {
 public:
  explicit Transfer(std::function<void()> wait) : wait_(std::move(wait)) {}
  // Returns when this rank's tensor has its result; on a GPU, when what follows there will see it.
  // Throws kIo when the other ranks cannot be reached any more.
  void wait() { wait_(); }

 private:
  std::function<void()> wait_;
};

// The ranks of one training run. Every rank makes the same calls in the same order; on one rank's
// failure, the others' OverHandler is called.
class ProcessGroup {
 public:
  // Meets the other ranks; rank 0 coordinates. Throws kUsage naming what forbids it: a rank that is
  // missing, twice there or counts others.
  ProcessGroup(const Launch& launch, const Patience& patience, OverHandler on_over,
               const std::atomic<bool>* stop);
  // Takes its leave; the other ranks can finish without this one.
  ~ProcessGroup();
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  int64_t rank() const;
  int64_t ranks() const;
  bool is_first() const { return rank() == 0; }
  int64_t local_rank() const;  // among the ranks on this machine
  int64_t sharing() const;     // ranks that may run on the same CPU cores, this one included

  // The text of rank `from`, on all ranks.
  std::string share(const std::string& text, int64_t from = 0);
  // Returns when all ranks are here.
  void barrier();
  // Throws kUsage naming the first value that differs from rank 0's, and returns when all agree.
  using NamedValues = std::vector<std::pair<std::string, std::string>>;
  void check_agreement(const NamedValues& values);

  // Opens the way for tensors on `device`, by Gloo, or by NCCL for a GPU, which must be this rank's
  // alone. Before any of the operations below, and again only for the same device. Throws
  // kUnsupported when this build is without.
  void open(at::Device device);
  // Where this rank's tensors lie.
  at::Device device() const;

  // Sums the ranks' tensors into that of rank `root`; those of the others are scratch afterwards.
  // On the CPU they are added in the order of ranks, as one process would add them. Contiguous, on
  // device(), and untouched until wait().
  Transfer reduce(const at::Tensor& tensor, int64_t root);
  // Copies rank `root`'s tensor to the others'.
  Transfer broadcast(const at::Tensor& tensor, int64_t root);
  // The sum over the ranks in place, in their order: the same bits on all.
  void sum(std::span<double> values);
  // The same for a tensor of any size, contiguous and on device(); each rank adds a part.
  void sum(const at::Tensor& tensor);

  // Tells the other ranks that this one fails, after which they end. No operation may follow.
  void abandon(ErrorCode code, const std::string& message);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tercet::learn
