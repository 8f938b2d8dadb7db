// SPDX-License-Identifier: Apache-2.0
#include "learn/dist/sharded_parameters.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <deque>
#include <functional>
#include <utility>

#include "core/error.h"

namespace tercet::learn {
namespace {

using torch::autograd::variable_list;

// Messages under way: enough to keep the network busy, few enough for the memory.
constexpr size_t kMostUnderWay = 8;

// Runs after a gradient was added to a parameter's: once in a backward pass, also for a parameter
// that the model uses twice.
class CompleteHook : public torch::autograd::FunctionPostHook {
 public:
  explicit CompleteHook(std::function<void()> complete) : complete_(std::move(complete)) {}
  variable_list operator()(const variable_list& outputs, const variable_list&) override {
    complete_();
    return outputs;
  }

 private:
  std::function<void()> complete_;
};

at::Tensor flat_part(const at::Tensor& tensor, const Piece& piece) {
  return tensor.view({-1}).narrow(0, piece.begin, piece.size());
}

std::vector<int64_t> sizes_of(const std::vector<at::Tensor>& tensors) {
  std::vector<int64_t> sizes;
  for (const at::Tensor& tensor : tensors) sizes.push_back(tensor.numel());
  return sizes;
}

}  // namespace

struct ShardedParameters::Hooks {
  // A parameter's accumulator lives, with its hooks, only as long as somebody holds it. The kind of
  // pointer depends on libtorch's version.
  std::vector<decltype(torch::autograd::impl::grad_accumulator(at::Tensor()))> accumulators;
};

ShardedParameters::ShardedParameters(std::vector<at::Tensor> parameters, ProcessGroup& group,
                                     int64_t largest_bucket)
    : parameters_(std::move(parameters)),
      group_(&group),
      buckets_(plan_shards(sizes_of(parameters_), group.ranks(), largest_bucket)),
      buckets_of_(parameters_.size()),
      hooks_(std::make_unique<Hooks>()) {
  for (size_t b = 0; b < buckets_.size(); ++b) {
    for (const Piece& piece : buckets_[b].pieces) {
      buckets_of_[piece.parameter].push_back(b);
      if (buckets_[b].owner == group.rank()) own_.push_back(piece);
    }
  }
  for (size_t i = 0; i < parameters_.size(); ++i) add_hook(i);
}

ShardedParameters::~ShardedParameters() = default;

void ShardedParameters::add_hook(size_t parameter) {
  auto accumulator = torch::autograd::impl::grad_accumulator(parameters_[parameter]);
  accumulator->add_post_hook(
      std::make_unique<CompleteHook>([this, parameter] { gradient_complete(parameter); }));
  hooks_->accumulators.push_back(std::move(accumulator));
}

at::Tensor ShardedParameters::values(const Piece& piece) const {
  return flat_part(parameters_[piece.parameter].detach(), piece);
}

void ShardedParameters::expect_gradients() {
  expecting_ = true;
  messages_.clear();
  missing_.clear();
  for (const Bucket& bucket : buckets_) missing_.push_back(bucket.pieces.size());
}

void ShardedParameters::gradient_complete(size_t parameter) {
  if (!expecting_) return;
  for (const size_t bucket : buckets_of_[parameter]) {
    if (missing_[bucket] == 0) {
      fail(ErrorCode::kInternal, "a gradient was complete twice in one backward pass");
    }
    --missing_[bucket];
  }
  // In order, so that all ranks send the same.
  while (messages_.size() < buckets_.size() && missing_[messages_.size()] == 0) {
    send_gradients(messages_.size());
  }
}

at::Tensor ShardedParameters::gradient(const Piece& piece) const {
  const at::Tensor& parameter = parameters_[piece.parameter];
  const at::Tensor& whole = parameter.grad();
  if (!whole.defined()) return at::zeros({piece.size()}, parameter.options());
  return flat_part(whole.contiguous(), piece);
}

void ShardedParameters::send_gradients(size_t index) {
  const at::NoGradGuard no_gradients;
  const Bucket& bucket = buckets_[index];
  std::vector<at::Tensor> parts;
  for (const Piece& piece : bucket.pieces) parts.push_back(gradient(piece));
  Message message{parts.size() == 1 ? parts[0] : at::cat(parts), std::nullopt};
  message.transfer = group_->reduce(message.flat, bucket.owner);
  messages_.push_back(std::move(message));
  if (index >= kMostUnderWay) receive_gradients(index - kMostUnderWay);
}

void ShardedParameters::receive_gradients(size_t index) {
  Message& message = messages_[index];
  if (!message.transfer) return;
  message.transfer->wait();
  message.transfer.reset();
  if (buckets_[index].owner != group_->rank()) message.flat.reset();
}

std::vector<at::Tensor> ShardedParameters::take_gradients() {
  while (messages_.size() < buckets_.size()) send_gradients(messages_.size());
  expecting_ = false;
  std::vector<at::Tensor> gradients;
  for (size_t b = 0; b < buckets_.size(); ++b) {
    receive_gradients(b);
    int64_t begin = 0;
    for (const Piece& piece : buckets_[b].pieces) {
      if (buckets_[b].owner != group_->rank()) break;
      gradients.push_back(messages_[b].flat.narrow(0, begin, piece.size()));
      begin += piece.size();
    }
  }
  messages_.clear();
  for (at::Tensor& parameter : parameters_) parameter.mutable_grad() = at::Tensor();
  return gradients;
}

ShardedParameters::Message ShardedParameters::send_values(const Bucket& bucket, int64_t root) {
  std::vector<at::Tensor> parts;
  for (const Piece& piece : bucket.pieces) parts.push_back(values(piece));
  Message message;
  if (parts.size() == 1) {
    message.flat = parts[0];
  } else if (root == group_->rank()) {
    message.flat = at::cat(parts);
  } else {
    message.flat = at::empty({bucket.elements}, parts[0].options());
  }
  message.transfer = group_->broadcast(message.flat, root);
  return message;
}

void ShardedParameters::receive_values(const Bucket& bucket, Message& message) {
  message.transfer->wait();
  if (bucket.pieces.size() == 1) return;  // it came to its place
  int64_t begin = 0;
  for (const Piece& piece : bucket.pieces) {
    values(piece).copy_(message.flat.narrow(0, begin, piece.size()));
    begin += piece.size();
  }
}

void ShardedParameters::share_values(std::optional<int64_t> root) {
  const at::NoGradGuard no_gradients;
  std::deque<Message> under_way;
  size_t received = 0;
  const auto receive = [&] {
    receive_values(buckets_[received++], under_way.front());
    under_way.pop_front();
  };
  for (const Bucket& bucket : buckets_) {
    under_way.push_back(send_values(bucket, root.value_or(bucket.owner)));
    if (under_way.size() == kMostUnderWay) receive();
  }
  while (!under_way.empty()) receive();
  // Values that came straight into a parameter's memory are a change that autograd cannot see.
  for (const at::Tensor& parameter : parameters_) {
    parameter.unsafeGetTensorImpl()->bump_version();
  }
}

}  // namespace tercet::learn
