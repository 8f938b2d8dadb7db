// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <map>
#include <optional>

#include "core/file.h"
#include "model/convert.h"
#include "model/convert_plan.h"

namespace tercet {

// Another source converted to other types, held in a file that has no name and lies in memory, so
// that this process takes as much memory as with a file on a disk. Of its layers only the
// first `distinct_layers` need be held; those behind take turns as views of them, so that models
// larger than memory can be measured: all work is done, the results mean nothing.
class MemorySource final : public WeightSource {
 public:
  // distinct_layers: 0 or more than there are: all. `options.to_hf` must not be set. Throws as
  // convert() does; progress may be empty, stop may be nullptr.
  MemorySource(const WeightSource& source, const ConvertOptions& options, int64_t distinct_layers,
               const ConvertProgress& progress, const std::atomic<bool>* stop);

  int64_t distinct_layers() const { return distinct_layers_; }

  const char* format() const override { return "memory"; }
  // Of all layers, as if each were stored.
  uint64_t file_bytes() const override;
  std::string display_name() const override { return display_name_; }
  LinearWeights matrix(const TensorSpec& spec, WeightStorage& storage) const override;
  std::vector<float> vector(const TensorSpec& spec) const override;
  uint64_t stored_bytes(const TensorSpec& spec) const override;
  std::string stored_type_name(const TensorSpec& spec) const override;
  MatrixForm matrix_form(const TensorSpec& spec) const override;
  void release(const TensorSpec& spec) const override;
  std::optional<Tokenizer> load_tokenizer(std::string& note) const override;
  bool write_tokenizer(GgufWriter&) const override { return false; }
  std::optional<ChatTemplateSource> chat_template() const override { return std::nullopt; }

 private:
  struct Held {
    LinearWeights matrix;  // views file_ and storage_
    std::span<const uint8_t> bytes;
    std::vector<float> vector;
  };
  MemorySource(const WeightSource& source, const ConvertPlan& plan, int64_t distinct_layers,
               const ConvertProgress& progress, const std::atomic<bool>* stop);
  // A matrix as a file would hold it: where its bytes lie, and the scale beside them.
  struct Stored {
    const PlannedTensor* tensor;
    uint64_t offset;
    uint64_t bytes;
    float scale;
  };
  void hold(const Stored& stored);
  // The name of the tensor that is held in place of `name`.
  std::string held_name(const std::string& name) const;
  const Held& held(const TensorSpec& spec) const;

  std::string display_name_;
  int64_t distinct_layers_;
  std::optional<MappedFile> file_;
  WeightStorage storage_;
  std::map<std::string, Held> tensors_;  // by GGUF name
};

}  // namespace tercet
