// SPDX-License-Identifier: Apache-2.0
#include "model/convert.h"

#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "formats/gguf.h"
#include "model/convert_plan.h"
#include "model/gguf_model.h"
#include "model/own_layout.h"
#include "model/tensor_encoder.h"
#include "packing/ternary.h"

namespace tercet {
namespace fs = std::filesystem;

namespace {

// Whether replacing `target` destroys nothing but an earlier result: an empty or a GGUF file.
bool is_replaceable(const fs::path& target) {
  const MappedFile file(target);
  const std::string_view bytes(reinterpret_cast<const char*>(file.bytes().data()),
                               file.bytes().size());
  return bytes.empty() || bytes.starts_with("GGUF");
}

void check_target(const fs::path& source, const fs::path& target) {
  std::error_code error;
  const fs::file_status status = fs::status(target, error);
  if (status.type() == fs::file_type::directory) {
    fail(ErrorCode::kUsage, "'{}' is a directory; name the GGUF file to write", target.string());
  }
  if (!fs::exists(status)) return;
  if (status.type() != fs::file_type::regular) {
    fail(ErrorCode::kUsage, "'{}' is not a regular file; name another target", target.string());
  }
  if (fs::equivalent(source, target, error)) {
    fail(ErrorCode::kUsage, "'{}' is the source itself; name another target", target.string());
  }
  // An HF source is a directory: its weights must not be the target either, nor anything else that
  // a slip of the fingers could name.
  if (!is_replaceable(target)) {
    fail(ErrorCode::kUsage, "'{}' exists and is no GGUF file; name another target",
         target.string());
  }
}

// llama.cpp's number for "mostly of this type"; its readers only print it. Empty for our layouts.
std::optional<uint32_t> file_type_number(StoredType type) {
  switch (type) {
    case StoredType::kF32:
      return 0;
    case StoredType::kF16:
      return 1;
    case StoredType::kQ8_0:
      return 7;
    case StoredType::kBF16:
      return 32;
    case StoredType::kTq1_0:
      return 36;
    case StoredType::kTq2_0:
      return 37;
    default:
      return std::nullopt;
  }
}

class Converter {
 public:
  Converter(const WeightSource& source, const ConvertPlan& plan, const fs::path& target)
      : source_(source), plan_(plan), writer_(target) {}

  ConvertReport run(const ConvertProgress& progress, const std::atomic<bool>* stop) {
    report_.architecture = plan_.architecture;
    report_.linear_type = plan_.linear_type;
    report_.rest_type = plan_.rest_type;
    write_metadata();
    for (const PlannedTensor& tensor : plan_.tensors) declare(tensor);
    int64_t done = 0;
    for (const PlannedTensor& tensor : plan_.tensors) {
      if (stop != nullptr && stop->load()) {
        fail(ErrorCode::kInterrupted, "stopped after {} of {} tensors; nothing was written", done,
             plan_.tensors.size());
      }
      write(tensor);
      ++done;
      if (progress) {
        progress(done, static_cast<int64_t>(plan_.tensors.size()), tensor.spec.gguf_name);
      }
    }
    writer_.finish();
    finish_report();
    return std::move(report_);
  }

 private:
  static bool has_scale_tensor(const PlannedTensor& tensor) {
    return is_ternary(tensor.type) && !is_own(tensor.type);
  }

  void write_metadata() {
    set_gguf_config(writer_, plan_.config, plan_.architecture);
    writer_.set("general.name", GgufValue::string(source_.display_name()));
    if (const auto number = file_type_number(plan_.linear_type)) {
      writer_.set("general.file_type", GgufValue::u32(*number));
    }
    writer_.set("general.quantization_version", GgufValue::u32(2));
    if (is_own(plan_.linear_type)) {
      std::vector<std::string> names;
      for (const PlannedTensor& tensor : plan_.tensors) {
        if (tensor.is_linear) names.push_back(tensor.spec.gguf_name);
      }
      writer_.set(kLowBitTensorsKey, GgufValue::strings(std::move(names)));
    }
    source_.load_tokenizer(report_.tokenizer_note);
    if (source_.write_tokenizer(writer_)) report_.tokenizer_note.clear();
  }

  void declare(const PlannedTensor& tensor) {
    const TensorSpec& spec = tensor.spec;
    std::vector<int64_t> shape = spec.rows == 0 ? std::vector<int64_t>{spec.cols}
                                                : std::vector<int64_t>{spec.rows, spec.cols};
    if (is_own(tensor.type)) {
      WeightStorage unused;
      const auto [scope, group] = source_.scale_reach(spec);
      shape = {own_payload_bytes(layout_of(tensor.type), spec.rows, spec.cols, scope, group)};
    }
    writer_.declare(spec.gguf_name, file_dtype(tensor.type), shape);
    if (has_scale_tensor(tensor)) {
      writer_.declare(scale_tensor_name(spec.gguf_name), DType::kF32, {1});
    }
  }

  void write(const PlannedTensor& tensor) {
    if (tensor.spec.rows == 0) {
      const std::vector<float> values = encode_vector(source_.vector(tensor.spec), tensor);
      put(tensor, from_f32(values, DType::kF32, tensor.spec.cols, tensor.spec.gguf_name));
      return;
    }
    WeightStorage storage;  // of this tensor only
    const EncodedMatrix encoded = encode_matrix(source_.matrix(tensor.spec, storage), tensor);
    put(tensor, encoded.bytes);
    if (has_scale_tensor(tensor)) {
      put(tensor, from_f32(std::vector<float>{encoded.scale}, DType::kF32, 1,
                           scale_tensor_name(tensor.spec.gguf_name)));
    }
  }

  void put(const PlannedTensor& tensor, const std::vector<uint8_t>& bytes) {
    writer_.write_next(bytes);
    ++report_.tensors;
    tensor_bytes_ += bytes.size();
    if (tensor.is_linear) linear_bytes_ += bytes.size();
  }

  void finish_report() {
    report_.linear_bits_per_weight =
        packing::bits_per_weight(linear_bytes_, 1, plan_.config.linear_parameter_count());
    report_.model_bits_per_weight =
        packing::bits_per_weight(tensor_bytes_, 1, plan_.config.parameter_count());
  }

  const WeightSource& source_;
  const ConvertPlan& plan_;
  GgufWriter writer_;
  ConvertReport report_;
  uint64_t tensor_bytes_ = 0;
  uint64_t linear_bytes_ = 0;
};

}  // namespace

ConvertReport convert(const fs::path& source, const fs::path& target, const ConvertOptions& options,
                      const ConvertProgress& progress, const std::atomic<bool>* stop) {
  const std::unique_ptr<WeightSource> opened = WeightSource::open(source);
  check_target(source, target);
  const ConvertPlan plan = plan_conversion(*opened, options);
  ConvertReport report = Converter(*opened, plan, target).run(progress, stop);
  std::error_code error;
  report.bytes = fs::file_size(target, error);
  if (error) fail(ErrorCode::kIo, "cannot read '{}' back: {}", target.string(), error.message());
  return report;
}

}  // namespace tercet
