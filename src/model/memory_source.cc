// SPDX-License-Identifier: Apache-2.0
#include "model/memory_source.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "model/byte_batch.h"
#include "model/convert_steps.h"
#include "model/gguf_model.h"
#include "model/tensor_encoder.h"
#include "model/tensor_weights.h"

namespace tercet {
namespace {

constexpr std::string_view kLayerPrefix = "blk.";

// The layer that a tensor belongs to and what follows its number; -1 for none.
std::pair<int64_t, std::string_view> split_name(std::string_view name) {
  if (!name.starts_with(kLayerPrefix)) return {-1, name};
  name.remove_prefix(kLayerPrefix.size());
  int64_t layer = -1;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), layer);
  name.remove_prefix(static_cast<size_t>(parsed.ptr - name.data()));
  return {layer, name};
}

// A file in memory without a name, written from its beginning; it ends with its last reader.
class NamelessFile {
 public:
  NamelessFile() : descriptor_(::memfd_create("tercet", MFD_CLOEXEC)) { check(descriptor_ >= 0); }
  ~NamelessFile() { ::close(descriptor_); }
  NamelessFile(const NamelessFile&) = delete;
  NamelessFile& operator=(const NamelessFile&) = delete;

  uint64_t size() const { return size_; }

  void append(std::span<const uint8_t> bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
      check(written > 0);
      size_ += static_cast<uint64_t>(written);
      bytes = bytes.subspan(static_cast<size_t>(written));
    }
  }

  // Zeros up to a multiple of a page, which can then be released apart from others.
  void align() {
    constexpr uint64_t kPage = 4096;
    size_ = (size_ + kPage - 1) / kPage * kPage;
    check(::ftruncate(descriptor_, static_cast<off_t>(size_)) == 0);
    check(::lseek(descriptor_, 0, SEEK_END) >= 0);
  }

  MappedFile map() const { return MappedFile(fmt::format("/proc/self/fd/{}", descriptor_)); }

 private:
  static void check(bool done) {
    if (!done) fail(ErrorCode::kIo, "cannot hold the weights in memory: {}", errno_text(errno));
  }

  int descriptor_;
  uint64_t size_ = 0;
};

}  // namespace

MemorySource::MemorySource(const WeightSource& source, const ConvertOptions& options,
                           int64_t distinct_layers, const ConvertProgress& progress,
                           const std::atomic<bool>* stop)
    : MemorySource(source, plan_conversion(source, options), distinct_layers, progress, stop) {}

MemorySource::MemorySource(const WeightSource& source, const ConvertPlan& plan,
                           int64_t distinct_layers, const ConvertProgress& progress,
                           const std::atomic<bool>* stop)
    : WeightSource(source.path(), plan.config, rope_order_of(plan.architecture), plan.architecture),
      display_name_(source.display_name()),
      distinct_layers_(distinct_layers) {
  const int64_t layers = config().num_hidden_layers;
  if (distinct_layers_ <= 0 || distinct_layers_ > layers) distinct_layers_ = layers;
  ConvertSteps steps(plan, progress, stop);
  NamelessFile file;
  std::vector<Stored> matrices;
  for (const PlannedTensor& tensor : plan.tensors) {
    steps.before_tensor();
    if (split_name(tensor.spec.gguf_name).first >= distinct_layers_) {
      // Repeats one that is held.
    } else if (tensor.spec.rows == 0) {
      tensors_[tensor.spec.gguf_name].vector = encode_vector(source.vector(tensor.spec), tensor);
    } else {
      WeightStorage storage;  // of this tensor only
      const LinearWeights weights = source.matrix(tensor.spec, storage);
      const uint64_t offset = file.size();
      ByteBatch batch([&file](std::span<const uint8_t> bytes) { file.append(bytes); });
      encode_matrix(weights, tensor, [&batch](std::span<const uint8_t> part) { batch.add(part); });
      batch.flush();
      const float scale = tensor.scale_tensor ? single_scale(weights) : 1.0f;
      matrices.push_back({&tensor, offset, batch.total(), scale});
      file.align();
    }
    steps.after_tensor(tensor.spec.gguf_name);
  }
  file_.emplace(file.map());
  for (const Stored& stored : matrices) hold(stored);
}

void MemorySource::hold(const Stored& stored) {
  const PlannedTensor& tensor = *stored.tensor;
  TensorSpec spec = tensor.spec;
  // What was multiplied out is no longer a map of few bits.
  spec.low_bit = spec.low_bit && has_low_bit_maps(config().linear);
  Held& held = tensors_[spec.gguf_name];
  held.bytes = file_->bytes().subspan(stored.offset, stored.bytes);
  const std::string origin = path().string();
  if (is_own(tensor.type)) {
    held.matrix = own_weights(spec.gguf_name, held.bytes, spec, origin, storage_);
    return;
  }
  const TensorView view = {
      spec.gguf_name, file_dtype(tensor.type), {spec.rows, spec.cols}, held.bytes};
  const TensorView scale = {scale_tensor_name(spec.gguf_name),
                            DType::kF32,
                            {1},
                            {reinterpret_cast<const uint8_t*>(&stored.scale), sizeof(float)}};
  const MatrixParts parts = {tensor.scale_tensor ? &scale : nullptr, I2SOrder::kWide};
  held.matrix = matrix_weights(view, parts, spec, origin, storage_);
}

std::string MemorySource::held_name(const std::string& name) const {
  const auto [layer, rest] = split_name(name);
  if (layer < distinct_layers_) return name;
  return fmt::format("{}{}{}", kLayerPrefix, layer % distinct_layers_, rest);
}

const MemorySource::Held& MemorySource::held(const TensorSpec& spec) const {
  const auto found = tensors_.find(held_name(spec.gguf_name));
  if (found != tensors_.end()) return found->second;
  fail(ErrorCode::kInternal, "tensor '{}' is not held", spec.gguf_name);
}

uint64_t MemorySource::file_bytes() const {
  uint64_t total = 0;
  for (const TensorSpec& spec : tensor_specs(config())) total += stored_bytes(spec);
  return total;
}

LinearWeights MemorySource::matrix(const TensorSpec& spec, WeightStorage&) const {
  return held(spec).matrix;
}

void MemorySource::release(const TensorSpec& spec) const {
  const std::span<const uint8_t> bytes = held(spec).bytes;
  if (!bytes.empty()) file_->release(bytes);
}

std::vector<float> MemorySource::vector(const TensorSpec& spec) const { return held(spec).vector; }

uint64_t MemorySource::stored_bytes(const TensorSpec& spec) const {
  const Held& tensor = held(spec);
  return spec.rows == 0 ? tensor.vector.size() * sizeof(float) : tensor.matrix.stored_bytes;
}

std::string MemorySource::stored_type_name(const TensorSpec& spec) const {
  return to_string(spec.rows == 0 ? StoredType::kF32 : held(spec).matrix.type);
}

MatrixForm MemorySource::matrix_form(const TensorSpec& spec) const {
  const LinearWeights& matrix = held(spec).matrix;
  return {matrix.type, {matrix.scope, matrix.group_size}};
}

std::optional<Tokenizer> MemorySource::load_tokenizer(std::string& note) const {
  note = "a model in memory is only measured";
  return std::nullopt;
}

}  // namespace tercet
