// SPDX-License-Identifier: Apache-2.0
#include "model/convert.h"

#include <string_view>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "model/convert_plan.h"
#include "model/convert_steps.h"
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

void check_file_target(const fs::path& source, const fs::path& target) {
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

void check_directory_target(const fs::path& target) {
  std::error_code error;
  if (!fs::exists(target, error)) return;
  if (!fs::is_directory(target, error)) {
    fail(ErrorCode::kUsage, "'{}' is a file; name the directory to write", target.string());
  }
  if (fs::is_empty(target, error)) return;
  fail(ErrorCode::kUsage, "'{}' is a directory with files in it; name a new one", target.string());
}

}  // namespace

void ConvertSteps::before_tensor() const {
  if (stop_ == nullptr || !stop_->load()) return;
  fail(ErrorCode::kInterrupted, "stopped after {} of {} tensors; nothing was written", done_,
       total_);
}

void ConvertSteps::after_tensor(const std::string& name) {
  ++done_;
  if (progress_) progress_(done_, total_, name);
}

ConvertReport convert(const fs::path& source, const fs::path& target, const ConvertOptions& options,
                      const ConvertProgress& progress, const std::atomic<bool>* stop) {
  return convert(*WeightSource::open(source, options.source), target, options, progress, stop);
}

ConvertReport convert(const WeightSource& source, const fs::path& target,
                      const ConvertOptions& options, const ConvertProgress& progress,
                      const std::atomic<bool>* stop) {
  if (options.to_hf) {
    check_directory_target(target);
  } else {
    check_file_target(source.path(), target);
  }
  const ConvertPlan plan = plan_conversion(source, options);
  ConvertReport report =
      options.to_hf ? write_hf(source, plan, target, options.max_shard_bytes, progress, stop)
                    : write_gguf(source, plan, target, progress, stop);
  report.linear_type = plan.linear_type;
  report.rest_type = plan.rest_type;
  report.embedding_type = plan.embedding_type;
  report.packed = plan.packed;
  return report;
}

}  // namespace tercet
