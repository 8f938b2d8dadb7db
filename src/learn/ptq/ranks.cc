// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/ranks.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <set>

#include "core/error.h"
#include "formats/json.h"

namespace tercet::learn {
namespace {

// A matrix that only some ranks may have, as all ranks can add it up.
void sum_matrix(Team team, at::Tensor& matrix) {
  std::array<double, 3> shape = {};
  if (matrix.defined()) {
    shape = {1, static_cast<double>(matrix.size(0)), static_cast<double>(matrix.size(1))};
  }
  team.sum(shape);
  if (shape[0] == 0) return;
  const auto rows = static_cast<int64_t>(shape[1] / shape[0]);
  const auto cols = static_cast<int64_t>(shape[2] / shape[0]);
  matrix = matrix.defined() ? matrix.contiguous() : at::zeros({rows, cols}, moment_type(cols));
  team.sum(matrix);
}

bool looks_at_rows_alone(const LayerOptions& options) {
  if (options.grouping.scope == packing::ScaleScope::kTensor) return false;
  // The others order columns or take a rank-one factor by all rows.
  return is_packable(options.method);
}

// A copy of what it needs, so that the rest can be let go.
Moments of_rows(Moments moments, int64_t first, int64_t count) {
  if (moments.residual.defined()) {
    moments.residual = moments.residual.narrow(0, first, count).clone();
  }
  return moments;
}

// What ranges of rows are on all ranks, put together: those of rank r begin at rows r / ranks.
at::Tensor gathered(Team team, const at::Tensor& mine, int64_t rows) {
  at::Tensor out = at::empty({rows, mine.size(1)}, mine.options());
  for (int64_t rank = 0; rank < team.ranks(); ++rank) {
    const int64_t first = rows * rank / team.ranks();
    const int64_t end = rows * (rank + 1) / team.ranks();
    const at::Tensor part = out.narrow(0, first, end - first);
    if (rank == team.rank()) part.copy_(mine);
    team.broadcast(part, rank);
  }
  return out;
}

void share_matrix(Team team, LowBitMatrix& matrix) {
  for (at::Tensor* tensor : {&matrix.codes, &matrix.scales, &matrix.shifts, &matrix.column_scales,
                             &matrix.column_group}) {
    if (!tensor->defined()) continue;
    *tensor = tensor->contiguous();
    team.broadcast(*tensor, 0);
  }
}

}  // namespace

int64_t most_on_one_machine(Team team) {
  if (team.group() == nullptr) return 1;
  std::vector<double> counts(static_cast<size_t>(team.ranks()));
  counts[static_cast<size_t>(team.rank())] = static_cast<double>(team.group()->local_rank() + 1);
  team.sum(counts);
  return static_cast<int64_t>(*std::max_element(counts.begin(), counts.end()));
}

void sum_moments(Team team, Moments& moments) {
  if (team.group() == nullptr) return;
  double tokens = static_cast<double>(moments.tokens);
  team.sum({&tokens, 1});
  moments.tokens = static_cast<int64_t>(tokens);
  sum_matrix(team, moments.qq);
  sum_matrix(team, moments.fq);
  sum_matrix(team, moments.residual);
}

std::vector<size_t> take_windows(Team team, const std::vector<int64_t>& rows,
                                 const std::vector<size_t>& drawn,
                                 const std::vector<ActivationStore*>& stores) {
  if (team.group() == nullptr) return drawn;
  const at::NoGradGuard no_gradients;
  const std::vector<int64_t> takers = takers_of(rows, drawn, team.ranks());
  for (ActivationStore* store : stores) store->take_back();
  std::vector<size_t> mine;
  std::set<size_t> sent;
  for (size_t k = 0; k < drawn.size(); ++k) {
    const size_t window = drawn[k];
    if (takers[k] == team.rank()) mine.push_back(window);
    for (ActivationStore* store : stores) {
      const int64_t owner = store->owner(window);
      if (takers[k] == owner || sent.count(window) != 0) continue;
      team.broadcast(store->holds(window) ? store->get(window) : store->lend(window), owner);
    }
    if (takers[k] != WindowShare(team).owner(window)) sent.insert(window);
  }
  return mine;
}

void sum_gradients(Team team, const std::vector<at::Tensor>& parameters) {
  if (team.group() == nullptr) return;
  const at::NoGradGuard no_gradients;
  std::vector<at::Tensor> parts;
  for (const at::Tensor& p : parameters) {
    parts.push_back((p.grad().defined() ? p.grad() : at::zeros_like(p)).reshape({-1}));
  }
  const at::Tensor flat = at::cat(parts);
  parts.clear();
  for (const at::Tensor& p : parameters) p.mutable_grad().reset();
  team.sum(flat);
  int64_t begin = 0;
  for (const at::Tensor& p : parameters) {
    p.mutable_grad() = flat.narrow(0, begin, p.numel()).view(p.sizes()).clone();
    begin += p.numel();
  }
}

void share_tensors(Team team, std::map<std::string, at::Tensor>& tensors) {
  if (team.group() == nullptr) return;
  Json shapes = Json::object();
  for (const auto& [name, tensor] : tensors) shapes[name] = tensor.sizes().vec();
  shapes = parse_json(team.share(shapes.dump()), "the tensors of rank 0");
  std::map<std::string, at::Tensor> out;
  for (const auto& [name, shape] : shapes.items()) {
    const at::Tensor tensor = team.is_first()
                                  ? tensors.at(name).detach().contiguous()
                                  : at::empty(shape.get<std::vector<int64_t>>(), at::kFloat);
    team.broadcast(tensor, 0);
    out[name] = tensor;
  }
  tensors = std::move(out);
}

LayerResult quantize_layer_shared(Team team, const at::Tensor& weight, Moments fit,
                                  const Moments& held_out, const LayerOptions& options,
                                  const std::string& name) {
  if (team.group() == nullptr)
    return quantize_layer(weight, std::move(fit), held_out, options, name);
  const int64_t rows = weight.size(0);
  if (!looks_at_rows_alone(options) || rows < team.ranks()) {
    LayerResult result = quantize_layer(weight, std::move(fit), held_out, options, name);
    share_matrix(team, result.matrix);
    return result;
  }
  const int64_t first = rows * team.rank() / team.ranks();
  const int64_t count = rows * (team.rank() + 1) / team.ranks() - first;
  LayerResult result =
      quantize_layer(weight.narrow(0, first, count), of_rows(std::move(fit), first, count),
                     of_rows(held_out, first, count), options, name, team);
  result.matrix.codes = gathered(team, result.matrix.codes, rows);
  result.matrix.scales = gathered(team, result.matrix.scales, rows);
  return result;
}

}  // namespace tercet::learn
