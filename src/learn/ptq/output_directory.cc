// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/output_directory.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/error.h"
#include "core/file.h"
#include "formats/safetensors.h"
#include "learn/data/hash.h"
#include "learn/ptq/run_state.h"
#include "tokenizer/tokenizer_files.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTuning = "tuning.safetensors";
// Another number when the same options come to be computed otherwise.
constexpr int kAlgorithm = 3;
constexpr const char* kReports = "reports";
constexpr const char* kSweep = "sweep";
constexpr std::string_view kLatent = ".latent";
// Of each tensor, from both ends: enough to tell models apart without reading all of them.
constexpr size_t kSample = 65536;

std::span<const uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

bool is_linear_weight(const std::string& name) {
  const auto& maps = linear_maps();
  return std::any_of(maps.begin(), maps.end(),
                     [&](const std::string& map) { return name == map + ".weight"; });
}

// Of f16 or f32.
TensorView view_of(const std::string& name, const at::Tensor& tensor) {
  TensorView view;
  view.name = name;
  view.type = tensor.scalar_type() == at::kHalf ? DType::kF16 : DType::kF32;
  view.shape.assign(tensor.sizes().begin(), tensor.sizes().end());
  view.bytes = {static_cast<const uint8_t*>(tensor.data_ptr()), tensor.nbytes()};
  return view;
}

}  // namespace

std::string fingerprint_of(const HfModel& source, const Windows& windows, const Json& options) {
  Fnv1a64 hash;
  hash.update(bytes_of(read_json_file(source.directory() / "config.json").dump()));
  for (const TensorSpec& spec : tensor_specs(source.config())) {
    if (spec.hf_name.empty()) continue;
    const TensorView& view = source.tensor(spec.hf_name);
    hash.update(bytes_of(spec.hf_name));
    const size_t part = std::min(kSample, view.bytes.size());
    hash.update(view.bytes.first(part));
    hash.update(view.bytes.last(part));
    source.release(view);
  }
  for (const auto& window : windows) {
    const size_t length = window.size();
    hash.update({reinterpret_cast<const uint8_t*>(&length), sizeof(length)});
    hash.update({reinterpret_cast<const uint8_t*>(window.data()), window.size() * sizeof(int32_t)});
  }
  hash.update(bytes_of(options.dump()));
  hash.update(bytes_of(std::to_string(kAlgorithm)));
  return fmt::format("{:016x}", hash.value());
}

OutputDirectory::OutputDirectory(const PtqOptions& options, const HfModel& source,
                                 const std::string& fingerprint)
    : path_(options.out), source_(source), options_(options), fingerprint_(fingerprint) {
  check_target(options, fingerprint);
  make_directories(path_);
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_, ignored)) {
    if (is_temporary(entry)) fs::remove(entry.path(), ignored);
  }
  if (!options.resume) {
    write_state(kRunning, Json::object());
    return;
  }
  const Json state = read_state(path_ / kStateFile);
  if (!holds_model(state)) return;
  summary_ = state;
  summary_->erase(kStatus);
  discard_unfinished();
}

// What a finished model has no more use for.
void OutputDirectory::discard_unfinished() const {
  std::error_code ignored;
  fs::remove(path_ / kTuning, ignored);
  if (!options_.changes_blocks_later()) return;
  for (int64_t layer = 0; layer < source_.config().num_hidden_layers; ++layer) {
    fs::remove(path_ / block_name(layer), ignored);
  }
}

void OutputDirectory::write_pieces(const fs::path& path, const std::vector<Piece>& pieces,
                                   std::map<std::string, std::string> metadata) const {
  std::vector<TensorView> views;
  for (const Piece& piece : pieces) views.push_back(piece.view);
  metadata["format"] = "pt";
  write_safetensors(path, views, metadata);
  for (const Piece& piece : pieces) source_.release(piece.view);
}

std::string OutputDirectory::shard_name(int64_t layer) const {
  const int64_t count = source_.config().num_hidden_layers + 1;
  return fmt::format("model-{:05}-of-{:05}.safetensors", layer + 1, count);
}

// Blocks that a pass over the whole model will change lie under another name until then.
std::string OutputDirectory::block_name(int64_t layer) const {
  if (!options_.changes_blocks_later()) return shard_name(layer);
  return fmt::format("block-{:05}.safetensors", layer + 1);
}

bool OutputDirectory::changes_vectors() const {
  return options_.block_training.steps > 0 || options_.end_to_end.steps > 0 ||
         options_.layer.equalization > 0;
}

void OutputDirectory::write_state(const char* status, const Json& summary) const {
  Json state = {{kStatus, status},
                {kFingerprint, fingerprint_},
                {"source", options_.source.string()},
                {"calibration", options_.calibration.string()},
                {kOptions, to_json(options_)}};
  state.update(summary);
  write_text_file(path_ / kStateFile, state.dump(2) + "\n");
}

std::optional<std::vector<LayerReport>> OutputDirectory::finished(int64_t layer, int sweep) const {
  const fs::path shard = path_ / block_name(layer);
  std::error_code ignored;
  if (!fs::exists(shard, ignored)) return std::nullopt;
  const SafetensorsFile file(shard);
  const auto text = file.metadata().find(kReports);
  if (text == file.metadata().end()) {
    fail(ErrorCode::kBadInput, "'{}' is not of this run; remove it", shard.string());
  }
  const auto reached = file.metadata().find(kSweep);
  if (reached == file.metadata().end() || std::atoi(reached->second.c_str()) < sweep) {
    return std::nullopt;
  }
  std::vector<LayerReport> out;
  for (const Json& json : parse_json(text->second, shard.string())) {
    out.push_back(layer_report_from_json(json));
  }
  return out;
}

BlockWeights OutputDirectory::read_block(int64_t layer) const {
  const std::string prefix = fmt::format("model.layers.{}.", layer);
  const SafetensorsFile file(path_ / block_name(layer));
  BlockWeights out;
  for (const TensorSpec& spec : tensor_specs(source_.config())) {
    if (!spec.hf_name.starts_with(prefix)) continue;
    const TensorView& view = file.tensor(spec.hf_name);
    std::vector<float> values = to_f32(view);
    const at::Tensor stored = at::from_blob(values.data(), view.shape, at::kFloat);
    out.tensors[spec.hf_name.substr(prefix.size())] = stored + static_cast<double>(spec.hf_offset);
  }
  return out;
}

LatentWeights OutputDirectory::read_latents(int64_t layer) const {
  const SafetensorsFile file(path_ / block_name(layer));
  LatentWeights out;
  for (const TensorView& view : file.tensors()) {
    if (!view.name.ends_with(kLatent)) continue;
    std::vector<float> values = to_f32(view);
    out[view.name.substr(0, view.name.size() - kLatent.size())] =
        at::from_blob(values.data(), view.shape, at::kFloat).clone();
  }
  return out;
}

void OutputDirectory::write_block(int64_t layer, int sweep, const BlockWeights& weights,
                                  const LatentWeights& latents,
                                  const std::vector<LayerReport>& reports) const {
  Json list = Json::array();
  for (const LayerReport& report : reports) list.push_back(to_json(report));
  std::vector<Piece> pieces = pieces_of(layer, weights);
  if (sweep < options_.block_training.sweeps) {
    for (const auto& [map, latent] : latents) {
      pieces.push_back({view_of(fmt::format("{}{}", map, kLatent), latent), latent});
    }
  }
  write_pieces(path_ / block_name(layer), pieces,
               {{kReports, list.dump()}, {kSweep, fmt::format("{}", sweep)}});
}

void OutputDirectory::write_trained_block(int64_t layer, const BlockWeights& weights) const {
  write_pieces(path_ / shard_name(layer), pieces_of(layer, weights), {});
}

void OutputDirectory::write_tuning(const EndToEndState& state) const {
  std::vector<TensorView> views;
  for (size_t i = 0; i < state.optimizer.size(); ++i) {
    views.push_back(view_of(fmt::format("{:06}", i), state.optimizer[i]));
  }
  write_safetensors(path_ / kTuning, views,
                    {{"steps", fmt::format("{}", state.steps)},
                     {"first_loss", fmt::format("{}", state.report.first_loss)},
                     {"last_loss", fmt::format("{}", state.report.last_loss)}});
}

std::optional<EndToEndState> OutputDirectory::read_tuning() const {
  std::error_code ignored;
  if (!fs::exists(path_ / kTuning, ignored)) return std::nullopt;
  const SafetensorsFile file(path_ / kTuning);
  EndToEndState out;
  try {
    out.steps = std::stoi(file.metadata().at("steps"));
    out.report.first_loss = std::stod(file.metadata().at("first_loss"));
    out.report.last_loss = std::stod(file.metadata().at("last_loss"));
  } catch (const std::exception&) {
    fail(ErrorCode::kBadInput, "'{}' is not of this run; remove it", (path_ / kTuning).string());
  }
  for (size_t i = 0; i < file.tensors().size(); ++i) {
    const TensorView& view = file.tensor(fmt::format("{:06}", i));
    std::vector<float> values = to_f32(view);
    out.optimizer.push_back(at::from_blob(values.data(), view.shape, at::kFloat).clone());
  }
  return out;
}

std::vector<OutputDirectory::Piece> OutputDirectory::pieces_of(int64_t layer,
                                                               const BlockWeights& weights) const {
  const std::string prefix = fmt::format("model.layers.{}.", layer);
  std::vector<Piece> pieces;
  for (const TensorSpec& spec : tensor_specs(source_.config())) {
    if (!spec.hf_name.starts_with(prefix)) continue;
    const std::string name = spec.hf_name.substr(prefix.size());
    const std::string module = spec.hf_name.substr(0, spec.hf_name.size() - 7);
    if (is_linear_weight(name) && is_chosen(options_, module)) {
      const at::Tensor half = weights.at(name).to(at::kHalf).contiguous();
      pieces.push_back({view_of(spec.hf_name, half), half});
    } else if (changes_vectors() && spec.rows == 0) {
      const at::Tensor stored =
          (weights.at(name) - static_cast<double>(spec.hf_offset)).contiguous();
      pieces.push_back({view_of(spec.hf_name, stored), stored});
    } else {
      pieces.push_back({source_.tensor(spec.hf_name), {}});
      pieces.back().view.name = spec.hf_name;
    }
  }
  return pieces;
}

void OutputDirectory::write_rest(const at::Tensor& final_norm) const {
  std::vector<Piece> pieces;
  for (const TensorSpec& spec : tensor_specs(source_.config())) {
    if (spec.hf_name.empty() || spec.hf_name.starts_with("model.layers.")) continue;
    if (spec.rows == 0 && final_norm.defined()) {
      const at::Tensor stored = (final_norm - static_cast<double>(spec.hf_offset)).contiguous();
      pieces.push_back({view_of(spec.hf_name, stored), stored});
      continue;
    }
    pieces.push_back({source_.tensor(spec.hf_name), {}});
    pieces.back().view.name = spec.hf_name;
  }
  write_pieces(path_ / shard_name(source_.config().num_hidden_layers), pieces, {});
}

void OutputDirectory::write_index() const {
  Json weight_map = Json::object();
  uint64_t bytes = 0;
  for (int64_t shard = 0; shard <= source_.config().num_hidden_layers; ++shard) {
    const SafetensorsFile file(path_ / shard_name(shard));
    for (const TensorView& view : file.tensors()) {
      weight_map[view.name] = shard_name(shard);
      bytes += view.bytes.size();
    }
  }
  const Json index = {{"metadata", {{"total_size", bytes}}}, {"weight_map", weight_map}};
  write_text_file(path_ / "model.safetensors.index.json", index.dump(2) + "\n");
}

void OutputDirectory::write_config() const {
  Json config = model_config_to_json(source_.config());
  config["torch_dtype"] = "float16";
  if (is_packable(options_.layer.method)) {
    GivenTernary given;
    given.group_size = options_.layer.grouping.scope == packing::ScaleScope::kGroup
                           ? options_.layer.grouping.size
                           : 0;
    given.one_scale = options_.layer.grouping.scope == packing::ScaleScope::kTensor;
    given.int8_activations = options_.int8_activations;
    for (const TensorSpec& spec : tensor_specs(source_.config())) {
      if (spec.rows == 0 || !spec.hf_name.starts_with("model.layers.")) continue;
      const std::string module = spec.hf_name.substr(0, spec.hf_name.size() - 7);
      if (!is_chosen(options_, module)) given.dense_maps.push_back(module);
    }
    std::sort(given.dense_maps.begin(), given.dense_maps.end());
    config[kGivenTernaryKey] = given_ternary_to_json(given);
  }
  write_text_file(path_ / "config.json", config.dump(2) + "\n");
}

void OutputDirectory::finish(const Json& summary, const at::Tensor& final_norm) const {
  write_rest(final_norm);
  write_index();
  std::error_code ignored;
  const bool has_tokenizer = fs::exists(source_.directory() / "tokenizer.json", ignored) ||
                             fs::exists(source_.directory() / "tokenizer.model", ignored);
  if (has_tokenizer) copy_tokenizer_files(source_.directory(), path_);
  const fs::path generation = source_.directory() / "generation_config.json";
  if (fs::exists(generation, ignored)) {
    write_text_file(path_ / "generation_config.json", read_text_file(generation, 1u << 20));
  }
  write_config();
  // Only when this is on disk may what it was made of go.
  write_state(kQuantized, summary);
  discard_unfinished();
}

bool OutputDirectory::is_quantized(const fs::path& path, const std::string& fingerprint) {
  std::error_code ignored;
  if (!fs::exists(path / kStateFile, ignored)) return false;
  const Json state = read_state(path / kStateFile);
  return holds_model(state) && state[kFingerprint] == fingerprint;
}

void OutputDirectory::amend(const Json& summary, bool is_complete) const {
  write_state(is_complete ? kComplete : kQuantized, summary);
}

}  // namespace tercet::learn
