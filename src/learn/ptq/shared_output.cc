// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/shared_output.h"

#include "learn/ptq/ranks.h"

namespace tercet::learn {

SharedOutput::SharedOutput(Team team, const PtqOptions& options, const HfModel& source,
                           const std::string& fingerprint)
    : team_(team), path_(options.out), fingerprint_(fingerprint) {
  if (team.is_first()) out_.emplace(options, source, fingerprint);
  const Json mine = out_ && out_->summary() ? *out_->summary() : Json();
  const Json summary = parse_json(team.share(mine.dump()), "rank 0's quantize.json");
  if (!summary.is_null()) summary_ = summary;
}

std::optional<std::vector<LayerReport>> SharedOutput::finished(int64_t layer, int sweep) const {
  std::optional<std::vector<LayerReport>> reports;
  Json list;
  if (out_) reports = out_->finished(layer, sweep);
  if (team_.group() == nullptr) return reports;
  if (reports) {
    list = Json::array();
    for (const LayerReport& report : *reports) list.push_back(to_json(report));
  }
  list = parse_json(team_.share(list.dump()), "rank 0's reports");
  if (out_ || list.is_null()) return reports;
  reports.emplace();
  for (const Json& report : list) reports->push_back(layer_report_from_json(report));
  return reports;
}

BlockWeights SharedOutput::read_block(int64_t layer) const {
  BlockWeights weights;
  if (out_) weights = out_->read_block(layer);
  share_tensors(team_, weights.tensors);
  return weights;
}

LatentWeights SharedOutput::read_latents(int64_t layer) const {
  LatentWeights latents;
  if (out_) latents = out_->read_latents(layer);
  share_tensors(team_, latents);
  return latents;
}

void SharedOutput::write_block(int64_t layer, int sweep, const BlockWeights& weights,
                               const LatentWeights& latents,
                               const std::vector<LayerReport>& reports) const {
  if (out_) out_->write_block(layer, sweep, weights, latents, reports);
}

void SharedOutput::write_trained_block(int64_t layer, const BlockWeights& weights) const {
  if (out_) out_->write_trained_block(layer, weights);
}

void SharedOutput::write_tuning(const EndToEndState& state) const {
  if (out_) out_->write_tuning(state);
}

std::optional<EndToEndState> SharedOutput::read_tuning() const {
  std::optional<EndToEndState> state;
  if (out_) state = out_->read_tuning();
  if (team_.group() == nullptr) return state;
  const Json mine = state ? Json{{"steps", state->steps},
                                 {"first_loss", state->report.first_loss},
                                 {"last_loss", state->report.last_loss}}
                          : Json();
  const Json first = parse_json(team_.share(mine.dump()), "rank 0's state of the last pass");
  if (first.is_null()) return std::nullopt;
  std::map<std::string, at::Tensor> tensors;
  if (state) {
    for (size_t i = 0; i < state->optimizer.size(); ++i) {
      tensors[fmt::format("{:06}", i)] = state->optimizer[i];
    }
  }
  share_tensors(team_, tensors);
  EndToEndState out{first.at("steps"), {first.at("first_loss"), first.at("last_loss")}, {}};
  for (const auto& [name, tensor] : tensors) out.optimizer.push_back(tensor);
  return out;
}

void SharedOutput::finish(const Json& summary, const at::Tensor& final_norm) const {
  if (out_) out_->finish(summary, final_norm);
}

void SharedOutput::amend(const Json& summary, bool is_complete) const {
  if (out_) out_->amend(summary, is_complete);
}

bool SharedOutput::is_seen_by_all() const {
  team_.wait_for_first();
  const bool here = out_ || OutputDirectory::is_quantized(path_, fingerprint_);
  return !team_.any(!here);
}

}  // namespace tercet::learn
