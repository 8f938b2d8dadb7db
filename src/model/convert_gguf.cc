// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "formats/gguf.h"
#include "model/byte_batch.h"
#include "model/convert_steps.h"
#include "model/gguf_model.h"
#include "model/tensor_encoder.h"
#include "packing/ternary.h"

namespace tercet {
namespace fs = std::filesystem;

namespace {

// llama.cpp's number for "mostly of this type"; its readers only print it. Empty for our layouts.
std::optional<uint32_t> file_type_number(StoredType type) {
  switch (type) {
    case StoredType::kF32:
      return 0;
    case StoredType::kF16:
      return 1;
    case StoredType::kQ8_0:
      return 7;
    case StoredType::kQ6_K:
      return 18;
    case StoredType::kBF16:
      return 32;
    case StoredType::kTq1_0:
      return 36;
    case StoredType::kTq2_0:
      return 37;
    case StoredType::kI2S:  // bitnet.cpp's
      return 40;
    case StoredType::kQ1_0:
      return 40;
    case StoredType::kQ2_0:
      return 41;
    default:
      return std::nullopt;
  }
}

class GgufConverter {
 public:
  GgufConverter(const WeightSource& source, const ConvertPlan& plan, const fs::path& target)
      : source_(source), plan_(plan), writer_(target) {}

  ConvertReport run(ConvertSteps& steps) {
    report_.architecture = plan_.architecture;
    write_metadata();
    for (const PlannedTensor& tensor : plan_.tensors) declare(tensor);
    for (const PlannedTensor& tensor : plan_.tensors) {
      steps.before_tensor();
      write(tensor);
      steps.after_tensor(tensor.spec.gguf_name);
    }
    writer_.finish();
    report_.linear_bits_per_weight =
        packing::bits_per_weight(linear_bytes_, 1, plan_.config.linear_parameter_count());
    report_.model_bits_per_weight =
        packing::bits_per_weight(tensor_bytes_, 1, plan_.config.parameter_count());
    return std::move(report_);
  }

 private:
  void write_metadata() {
    set_gguf_config(writer_, plan_.config, plan_.architecture);
    writer_.set("general.name", GgufValue::string(source_.display_name()));
    if (const auto number = file_type_number(plan_.linear_type)) {
      writer_.set("general.file_type", GgufValue::u32(*number));
    }
    writer_.set("general.quantization_version", GgufValue::u32(2));
    std::vector<std::string> own;
    bool has_i2_s = false;
    for (const PlannedTensor& tensor : plan_.tensors) {
      if (is_own(tensor.type)) own.push_back(tensor.spec.gguf_name);
      has_i2_s = has_i2_s || tensor.type == StoredType::kI2S;
    }
    if (!own.empty()) writer_.set(kLowBitTensorsKey, GgufValue::strings(std::move(own)));
    if (has_i2_s) writer_.set(kI2SBlockKey, GgufValue::u32(128));
    source_.load_tokenizer(report_.tokenizer_note);
    if (source_.write_tokenizer(writer_)) report_.tokenizer_note.clear();
  }

  void declare(const PlannedTensor& tensor) {
    const TensorSpec& spec = tensor.spec;
    std::vector<int64_t> shape = spec.rows == 0 ? std::vector<int64_t>{spec.cols}
                                                : std::vector<int64_t>{spec.rows, spec.cols};
    if (is_own(tensor.type)) shape = {static_cast<int64_t>(encoded_bytes(tensor))};
    writer_.declare(spec.gguf_name, file_dtype(tensor.type), shape);
    if (tensor.scale_tensor) writer_.declare(scale_tensor_name(spec.gguf_name), DType::kF32, {1});
  }

  void write(const PlannedTensor& tensor) {
    ByteBatch batch([this](std::span<const uint8_t> bytes) { writer_.append(bytes); });
    const auto sink = [&batch](std::span<const uint8_t> bytes) { batch.add(bytes); };
    if (tensor.spec.rows == 0) {
      sink(from_f32(encode_vector(source_.vector(tensor.spec), tensor), DType::kF32,
                    tensor.spec.cols, tensor.spec.gguf_name));
    } else {
      WeightStorage storage;  // of this tensor only
      const LinearWeights weights = source_.matrix(tensor.spec, storage);
      const double rounding = encode_matrix(weights, tensor, sink);
      report_.largest_rounding = std::max(report_.largest_rounding, rounding);
      if (tensor.scale_tensor) {
        batch.flush();
        sink(from_f32(std::vector<float>{single_scale(weights)}, DType::kF32, 1,
                      scale_tensor_name(tensor.spec.gguf_name)));
      }
    }
    batch.flush();
    source_.release(tensor.spec);
    report_.tensors += tensor.scale_tensor ? 2 : 1;
    tensor_bytes_ += batch.total();
    if (tensor.is_linear) linear_bytes_ += batch.total();
  }

  const WeightSource& source_;
  const ConvertPlan& plan_;
  GgufWriter writer_;
  ConvertReport report_;
  uint64_t tensor_bytes_ = 0;
  uint64_t linear_bytes_ = 0;
};

}  // namespace

ConvertReport write_gguf(const WeightSource& source, const ConvertPlan& plan,
                         const fs::path& target, const ConvertProgress& progress,
                         const std::atomic<bool>* stop) {
  ConvertSteps steps(plan, progress, stop);
  ConvertReport report = GgufConverter(source, plan, target).run(steps);
  std::error_code error;
  report.bytes = fs::file_size(target, error);
  if (error) fail(ErrorCode::kIo, "cannot read '{}' back: {}", target.string(), error.message());
  return report;
}

}  // namespace tercet
