// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "learn/dist/process_group.h"
#include "learn/dist/shard_plan.h"

namespace tercet::learn {

// A model's parameters, which every rank holds whole while each updates its own share of them (ZeRO
// stage 1). A step's traffic is that of one all-reduce: gradients are summed at the rank that
// updates, and the new values come back from there.
class ShardedParameters {
 public:
  // parameters: leaves of the autograd graph, contiguous f32 on group.device(), the same on every
  // rank and in the same order. largest_bucket: elements of one message.
  ShardedParameters(std::vector<at::Tensor> parameters, ProcessGroup& group,
                    int64_t largest_bucket = kLargestBucket);
  ~ShardedParameters();
  ShardedParameters(const ShardedParameters&) = delete;
  ShardedParameters& operator=(const ShardedParameters&) = delete;

  static constexpr int64_t kLargestBucket = int64_t{2} << 20;

  const std::vector<Bucket>& buckets() const { return buckets_; }
  const std::vector<Piece>& own() const { return own_; }  // this rank's share
  // A part of a parameter, sharing its memory: [size], not part of any graph.
  at::Tensor values(const Piece& piece) const;

  // To be called before the last backward pass of a step: gradients then travel as soon as they are
  // complete, while others are still being computed.
  void expect_gradients();
  // Buckets that were sent so far; after the backward pass, all.
  size_t sent() const { return messages_.size(); }
  // After it: the sum of the gradients over the ranks for each of own(), [size]. The parameters'
  // own gradients are gone then.
  std::vector<at::Tensor> take_gradients();

  // Fetches every share's values from its owner, or all from rank `root`.
  void share_values(std::optional<int64_t> root = std::nullopt);

 private:
  // A bucket on its way.
  struct Message {
    at::Tensor flat;                   // [elements]; undefined where it is not needed any more
    std::optional<Transfer> transfer;  // nothing once it has arrived
  };

  void add_hook(size_t parameter);
  void gradient_complete(size_t parameter);
  void send_gradients(size_t bucket);
  void receive_gradients(size_t bucket);
  at::Tensor gradient(const Piece& piece) const;
  Message send_values(const Bucket& bucket, int64_t root);
  void receive_values(const Bucket& bucket, Message& message);

  std::vector<at::Tensor> parameters_;
  ProcessGroup* group_;
  std::vector<Bucket> buckets_;
  std::vector<Piece> own_;
  std::vector<std::vector<size_t>> buckets_of_;  // [parameter]: where its pieces lie
  bool expecting_ = false;
  std::vector<size_t> missing_;    // [bucket]: pieces without a complete gradient
  std::vector<Message> messages_;  // [bucket], of those that were sent, in order
  struct Hooks;
  std::unique_ptr<Hooks> hooks_;
};

}  // namespace tercet::learn
