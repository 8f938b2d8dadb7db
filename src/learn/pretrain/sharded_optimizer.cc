// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/sharded_optimizer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <tuple>

#include "core/error.h"
#include "formats/safetensors.h"

namespace tercet::learn {
namespace {

// The names of a parameter's moments in the file, and where they are kept.
struct NamedMoment {
  const char* prefix;
  at::Tensor Optimizer::Slot::*member;
};
constexpr std::array kMoments = {NamedMoment{"exp_avg.", &Optimizer::Slot::exp_avg},
                                 NamedMoment{"exp_avg_sq.", &Optimizer::Slot::exp_avg_sq}};
constexpr const char* kUpdates = "updates";

std::span<const uint8_t> bytes_of(const at::Tensor& tensor) {
  return {static_cast<const uint8_t*>(tensor.data_ptr()), tensor.nbytes()};
}

// Throws unless the file has the moment in the parameter's shape.
void check_moment(const SafetensorsFile& file, const std::string& name, const at::Tensor& like) {
  const TensorView& view = file.tensor(name);
  const std::vector<int64_t> shape(like.sizes().begin(), like.sizes().end());
  if (view.type != DType::kF32 || view.shape != shape) {
    fail(ErrorCode::kBadInput, "'{}': tensor '{}' has another shape or type than the model's",
         file.path().string(), name);
  }
}

int64_t update_count(const SafetensorsFile& file) {
  const TensorView& view = file.tensor(kUpdates);
  if (view.type != DType::kI64 || view.bytes.size() != sizeof(int64_t)) {
    fail(ErrorCode::kBadInput, "'{}': tensor 'updates' is not one I64", file.path().string());
  }
  int64_t count = 0;
  std::memcpy(&count, view.bytes.data(), sizeof(count));
  if (count < 0) fail(ErrorCode::kBadInput, "'{}': 'updates' is negative", file.path().string());
  return count;
}

}  // namespace

ShardedOptimizer::ShardedOptimizer(const std::vector<Parameter>& parameters, const Recipe& recipe,
                                   Team team)
    : parameters_(parameters), team_(team) {
  if (team_.group() == nullptr) {
    optimizer_.emplace(parameters, recipe);
    add_parts();
    return;
  }
  std::vector<at::Tensor> values;
  for (const Parameter& p : parameters) values.push_back(p.value);
  sharded_.emplace(std::move(values), *team_.group());
  std::vector<Parameter> own;
  for (const Piece& piece : sharded_->own()) {
    const Parameter& whole = parameters[piece.parameter];
    own.push_back({whole.name, sharded_->values(piece), whole.decays});
  }
  optimizer_.emplace(own, recipe);
  add_parts();
}

void ShardedOptimizer::add_parts() {
  if (!sharded_) {
    for (size_t i = 0; i < parameters_.size(); ++i) {
      parts_.push_back({{i, 0, parameters_[i].value.numel()}, 0, i});
    }
    return;
  }
  std::vector<size_t> slots(static_cast<size_t>(team_.ranks()), 0);
  for (const Bucket& bucket : sharded_->buckets()) {
    for (const Piece& piece : bucket.pieces) {
      parts_.push_back({piece, bucket.owner, slots[static_cast<size_t>(bucket.owner)]++});
    }
  }
  std::sort(parts_.begin(), parts_.end(), [](const Part& a, const Part& b) {
    return std::tie(a.piece.parameter, a.piece.begin) < std::tie(b.piece.parameter, b.piece.begin);
  });
}

void ShardedOptimizer::expect_gradients() {
  if (sharded_) sharded_->expect_gradients();
}

double ShardedOptimizer::squared_norm() {
  if (sharded_) {
    const std::vector<at::Tensor> gradients = sharded_->take_gradients();
    for (size_t i = 0; i < gradients.size(); ++i) {
      at::Tensor value = optimizer_->slots()[i].parameter.value;
      value.mutable_grad() = gradients[i];
    }
  }
  return optimizer_->squared_norm();
}

void ShardedOptimizer::step(const StepRates& rates) {
  optimizer_->step(rates);
  if (sharded_) sharded_->share_values();
}

void ShardedOptimizer::skip() { optimizer_->skip(); }

void ShardedOptimizer::share_first_values() {
  if (sharded_) sharded_->share_values(0);
}

int64_t ShardedOptimizer::state_bytes() const {
  size_t bytes = 0;
  for (const Optimizer::Slot& slot : optimizer_->slots()) {
    bytes += slot.exp_avg.nbytes() + slot.exp_avg_sq.nbytes();
  }
  return static_cast<int64_t>(bytes);
}

// A part of a moment, from its owner: [size] f32 on the CPU.
at::Tensor ShardedOptimizer::fetch(const Part& part, size_t moment) const {
  const at::Tensor& whole = parameters_[part.piece.parameter].value;
  const at::Tensor here =
      part.owner == team_.rank()
          ? (optimizer_->slots()[part.slot].*kMoments[moment].member).view({-1})
          : at::empty({part.piece.size()}, whole.options().requires_grad(false));
  if (sharded_) team_.group()->broadcast(here, part.owner).wait();
  return here.to(at::kCPU);
}

void ShardedOptimizer::save(const std::filesystem::path& file) const {
  std::optional<SafetensorsWriter> writer;
  const at::Tensor updates = at::full({1}, optimizer_->updates(), at::kLong);
  if (team_.is_first()) {
    writer.emplace(file, std::map<std::string, std::string>{});
    writer->declare(kUpdates, DType::kI64, {1});
    for (const Parameter& p : parameters_) {
      for (const NamedMoment& moment : kMoments) {
        writer->declare(moment.prefix + p.name, DType::kF32, p.value.sizes().vec());
      }
    }
    writer->append(bytes_of(updates));
  }
  for (auto first = parts_.begin(); first != parts_.end();) {
    const auto last = std::find_if(first, parts_.end(), [&](const Part& part) {
      return part.piece.parameter != first->piece.parameter;
    });
    for (size_t moment = 0; moment < kMoments.size(); ++moment) {
      for (auto part = first; part != last; ++part) {
        const at::Tensor values = fetch(*part, moment);
        if (writer) writer->append(bytes_of(values));
      }
    }
    first = last;
  }
  if (writer) writer->finish();
}

void ShardedOptimizer::load(const std::filesystem::path& file) {
  std::optional<SafetensorsFile> source;
  if (team_.is_first()) {
    source.emplace(file);
    for (const Parameter& p : parameters_) {
      if (update_count(*source) == 0) break;
      for (const NamedMoment& m : kMoments) check_moment(*source, m.prefix + p.name, p.value);
    }
  }
  const std::string count = team_.share(source ? std::to_string(update_count(*source)) : "");
  optimizer_->set_updates(std::stoll(count));
  if (optimizer_->updates() == 0) return;
  for (const Part& part : parts_) {
    for (size_t moment = 0; moment < kMoments.size(); ++moment) {
      spread(part, moment, source ? &*source : nullptr);
    }
  }
}

// A part of a moment from rank 0's file to its owner.
void ShardedOptimizer::spread(const Part& part, size_t moment, const SafetensorsFile* source) {
  const Parameter& parameter = parameters_[part.piece.parameter];
  at::Tensor values = at::empty({part.piece.size()}, at::kFloat);
  if (source != nullptr) {
    const TensorView& view = source->tensor(kMoments[moment].prefix + parameter.name);
    const size_t begin = static_cast<size_t>(part.piece.begin) * sizeof(float);
    std::memcpy(values.data_ptr(), view.bytes.data() + begin, values.nbytes());
  }
  values = values.to(parameter.value.device());
  if (sharded_) team_.group()->broadcast(values, 0).wait();
  if (part.owner == team_.rank()) {
    (optimizer_->slots()[part.slot].*kMoments[moment].member).view({-1}).copy_(values);
  }
}

}  // namespace tercet::learn
