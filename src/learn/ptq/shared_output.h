// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "learn/dist/team.h"
#include "learn/ptq/output_directory.h"

namespace tercet::learn {

// The output directory as all ranks use it: rank 0 writes, and what it reads the others get from
// it, so that they need not see the directory. Every rank makes the same calls, as of
// OutputDirectory.
class SharedOutput {
 public:
  SharedOutput(Team team, const PtqOptions& options, const HfModel& source,
               const std::string& fingerprint);

  std::optional<std::vector<LayerReport>> finished(int64_t layer, int sweep) const;
  BlockWeights read_block(int64_t layer) const;
  LatentWeights read_latents(int64_t layer) const;
  void write_block(int64_t layer, int sweep, const BlockWeights& weights,
                   const LatentWeights& latents, const std::vector<LayerReport>& reports) const;
  void write_trained_block(int64_t layer, const BlockWeights& weights) const;
  // Of rank 0.
  void write_tuning(const EndToEndState& state) const;
  std::optional<EndToEndState> read_tuning() const;
  void finish(const Json& summary, const at::Tensor& final_norm) const;
  void amend(const Json& summary, bool is_complete) const;
  // What is known of the model where a run is resumed that has only to be evaluated and packed.
  const std::optional<Json>& summary() const { return summary_; }

  // Whether all ranks see the finished directory. Waits for rank 0 to finish it.
  bool is_seen_by_all() const;

 private:
  Team team_;
  std::filesystem::path path_;
  std::string fingerprint_;
  std::optional<OutputDirectory> out_;  // of rank 0
  std::optional<Json> summary_;
};

}  // namespace tercet::learn
