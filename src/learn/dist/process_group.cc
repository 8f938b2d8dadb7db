// SPDX-License-Identifier: Apache-2.0
#include "learn/dist/process_group.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <torch/csrc/distributed/c10d/Types.hpp>

#include "learn/dist/backend.h"
#include "learn/dist/coordinator.h"
#include "learn/dist/meeting_store.h"

namespace tercet::learn {
namespace {

Socket listener(const Launch& launch) {
  if (launch.listen_descriptor >= 0) return Socket(launch.listen_descriptor);
  return listen_on(launch.address, launch.port);
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

struct ProcessGroup::State {
  Launch launch;
  Patience patience;
  std::optional<Coordinator> coordinator;  // of rank 0; outlives the member
  std::optional<Member> member;
  c10::intrusive_ptr<MeetingStore> store;
  BackendPtr backend;
  at::Device device = at::kCPU;
  int64_t shared = 0;  // texts and barriers so far, for their keys
  int64_t barriers = 0;

  // Waits for `work`. When the way to the others breaks, the coordinator knows best why.
  void wait(c10d::Work& work) {
    try {
      work.wait();
    } catch (const std::exception& error) {
      member->over_within(patience.beat * (patience.silent_beats + 2));
      fail(ErrorCode::kIo, "the connection to the other ranks broke: {}", first_line(error.what()));
    }
  }

  Transfer transfer(c10::intrusive_ptr<c10d::Work> work) {
    return Transfer([this, work = std::move(work)] { wait(*work); });
  }
};

ProcessGroup::ProcessGroup(const Launch& launch, const Patience& patience, OverHandler on_over,
                           const std::atomic<bool>* stop)
    : state_(std::make_unique<State>()) {
  state_->launch = launch;
  state_->patience = patience;
  if (launch.rank == 0) state_->coordinator.emplace(listener(launch), launch.ranks, patience);
  state_->member.emplace(launch, patience, std::move(on_over), stop);
  state_->store = c10::make_intrusive<MeetingStore>(*state_->member);
}

ProcessGroup::~ProcessGroup() {
  state_->backend.reset();
  state_->member.reset();
}

int64_t ProcessGroup::rank() const { return state_->launch.rank; }
int64_t ProcessGroup::ranks() const { return state_->launch.ranks; }
int64_t ProcessGroup::local_rank() const { return state_->member->local_rank(); }
int64_t ProcessGroup::sharing() const { return state_->member->sharing(); }
at::Device ProcessGroup::device() const { return state_->device; }

std::string ProcessGroup::share(const std::string& text, int64_t from) {
  const std::string key = fmt::format("share/{}", state_->shared++);
  if (rank() == from) {
    state_->member->request({"set", key, text});
    return text;
  }
  const std::vector<uint8_t> bytes = state_->store->get(key);
  return {bytes.begin(), bytes.end()};
}

void ProcessGroup::barrier() {
  const std::string key = fmt::format("barrier/{}", state_->barriers++);
  if (state_->store->add(key, 1) == ranks()) state_->member->request({"set", key + "/open", ""});
  state_->store->wait({key + "/open"}, c10d::Store::kNoTimeout);
}

void ProcessGroup::check_agreement(const NamedValues& values) {
  Message mine{MessageKind::kReply, {}};
  for (const auto& [name, value] : values) {
    mine.fields.push_back(name);
    mine.fields.push_back(value);
  }
  MessageReader reader;
  reader.append(share(encode(mine)));
  const Message first = reader.next().value();
  for (size_t i = 0; i + 1 < mine.fields.size(); i += 2) {
    const bool same_name = i + 1 < first.fields.size() && first.fields[i] == mine.fields[i];
    if (same_name && first.fields[i + 1] == mine.fields[i + 1]) continue;
    fail(ErrorCode::kUsage,
         "the ranks do not agree: {} is {} on rank {} and {} on rank 0; start all with the same "
         "program, options and data",
         mine.fields[i], mine.fields[i + 1], rank(), same_name ? first.fields[i + 1] : "missing");
  }
  barrier();
}

void ProcessGroup::open(at::Device device) {
  if (state_->backend) {
    if (device != state_->device) fail(ErrorCode::kInternal, "the ranks are open already");
    return;
  }
  const BackendOptions options{state_->store, rank(), ranks(), state_->member->local_address(),
                               state_->launch.interface};
  state_->backend = device.is_cuda() ? open_nccl(options) : open_gloo(options);
  state_->device = device;
}

Transfer ProcessGroup::reduce(const at::Tensor& tensor, int64_t root) {
  std::vector<at::Tensor> tensors{tensor};
  if (tensor.is_cuda()) {
    c10d::ReduceOptions options;
    options.rootRank = static_cast<int>(root);
    return state_->transfer(state_->backend->reduce(tensors, options));
  }
  std::vector<std::vector<at::Tensor>> parts;  // at the root: one per rank
  if (rank() == root) {
    parts.emplace_back();
    for (int64_t r = 0; r < ranks(); ++r) parts[0].push_back(at::empty_like(tensor));
  }
  c10d::GatherOptions options;
  options.rootRank = static_cast<int>(root);
  Transfer gathered = state_->transfer(state_->backend->gather(parts, tensors, options));
  return Transfer([gathered, tensor, parts]() mutable {
    gathered.wait();
    if (parts.empty()) return;
    const at::NoGradGuard no_gradients;
    tensor.copy_(parts[0][0]);
    for (size_t r = 1; r < parts[0].size(); ++r) tensor.add_(parts[0][r]);
  });
}

Transfer ProcessGroup::broadcast(const at::Tensor& tensor, int64_t root) {
  std::vector<at::Tensor> tensors{tensor};
  c10d::BroadcastOptions options;
  options.rootRank = static_cast<int>(root);
  return state_->transfer(state_->backend->broadcast(tensors, options));
}

void ProcessGroup::sum(std::span<double> values) {
  const at::Tensor here =
      at::from_blob(values.data(), {static_cast<int64_t>(values.size())}, at::kDouble);
  std::vector<at::Tensor> mine{here.to(state_->device, /*non_blocking=*/false, /*copy=*/true)};
  std::vector<std::vector<at::Tensor>> all(1);
  for (int64_t r = 0; r < ranks(); ++r) all[0].push_back(at::empty_like(mine[0]));
  state_->wait(*state_->backend->allgather(all, mine));
  here.copy_(all[0][0]);
  for (size_t r = 1; r < all[0].size(); ++r) here.add_(all[0][r].to(at::kCPU));
}

void ProcessGroup::sum(const at::Tensor& tensor) {
  const int64_t elements = tensor.numel();
  std::vector<at::Tensor> parts;
  std::vector<Transfer> under_way;
  for (int64_t r = 0; r < ranks(); ++r) {
    const int64_t begin = elements * r / ranks();
    const int64_t end = elements * (r + 1) / ranks();
    parts.push_back(tensor.view({-1}).narrow(0, begin, end - begin));
    if (begin < end) under_way.push_back(reduce(parts.back(), r));
  }
  for (Transfer& transfer : under_way) transfer.wait();
  under_way.clear();
  for (int64_t r = 0; r < ranks(); ++r) {
    const at::Tensor& part = parts[static_cast<size_t>(r)];
    if (part.numel() > 0) under_way.push_back(broadcast(part, r));
  }
  for (Transfer& transfer : under_way) transfer.wait();
}

void ProcessGroup::abandon(ErrorCode code, const std::string& message) {
  state_->member->fail_run(code, message);
  // The backend may be in the middle of an operation that never ends: it is left as it is.
  state_->backend.release();
  state_->member.reset();
  state_->coordinator.reset();
}

}  // namespace tercet::learn
