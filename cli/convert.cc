// SPDX-License-Identifier: Apache-2.0
#include "model/convert.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/common/numbers.h"
#include "cli/common/output.h"
#include "cli/common/progress.h"
#include "cli/common/signals.h"
#include "cli/model_argument.h"
#include "core/cpu.h"
#include "core/error.h"
#include "model/verify.h"
#include "version/version.h"

namespace tercet::cli {
namespace {

struct ConvertArguments {
  std::string source;
  std::string target;
  std::string type = "auto";
  std::string rest_type = "auto";
  std::string embedding_type = "auto";
  std::string format = "auto";
  uint64_t max_shard_size = ConvertOptions{}.max_shard_bytes;
  int i2s_block = 0;
  bool allow_rounding = false;
  bool verify = false;
  bool json = false;
};

constexpr const char* kPacked = "packed";

std::optional<StoredType> chosen_type(const std::string& text) {
  if (text == "auto" || text == kPacked) return std::nullopt;
  return parse_stored_type(text);
}

// A target that can only be a directory: by its name, or because it is one.
bool names_directory(const std::string& target) {
  std::error_code ignored;
  return target.ends_with('/') || std::filesystem::is_directory(target, ignored);
}

bool wants_hf(const ConvertArguments& arguments) {
  if (arguments.format != "auto") return arguments.format == "hf";
  if (arguments.type == kPacked || names_directory(arguments.target)) return true;
  // Directories are often given without a slash, and have dots in their names (b1.58).
  const std::filesystem::path target(arguments.target);
  std::error_code ignored;
  if (target.extension() != ".gguf" && !std::filesystem::exists(target, ignored)) {
    fail(ErrorCode::kUsage,
         "'{0}' may be a file or a directory; give '{0}.gguf' for a GGUF file or '{0}/' for an HF "
         "directory, or say --format",
         arguments.target);
  }
  return false;
}

ConvertOptions options_of(const ConvertArguments& arguments) {
  ConvertOptions options;
  options.linear_type = chosen_type(arguments.type);
  options.rest_type = chosen_type(arguments.rest_type);
  options.embedding_type = chosen_type(arguments.embedding_type);
  options.to_hf = wants_hf(arguments);
  options.packed = arguments.type == kPacked;
  if (options.packed && !options.to_hf) {
    fail(ErrorCode::kUsage, "packed weights are a form of HF directories; use --format hf");
  }
  options.max_shard_bytes = arguments.max_shard_size;
  options.allow_rounding = arguments.allow_rounding;
  options.source.i2s_block = arguments.i2s_block;
  return options;
}

ConvertReport convert_with_progress(const ConvertArguments& arguments) {
  std::optional<Progress> progress;
  const auto show = [&](int64_t done, int64_t total, std::string_view name) {
    if (!progress) progress.emplace("convert: tensors", total);
    progress->update(done, name);
  };
  return convert(arguments.source, arguments.target, options_of(arguments), show,
                 &stop_requested());
}

const char* type_name(const ConvertReport& report) {
  return report.packed ? kPacked : to_string(report.linear_type);
}

void print_report(const ConvertArguments& arguments, const ConvertReport& report) {
  print_text("wrote {}\n", arguments.target);
  print_text("  {} in {} tensors, architecture {}\n", format_bytes(report.bytes), report.tensors,
             report.architecture);
  print_text(
      "  linear maps {}, {:.4f} bits per weight; the rest {}; {:.3f} bits per weight in all\n",
      type_name(report), report.linear_bits_per_weight, to_string(report.rest_type),
      report.model_bits_per_weight);
  if (report.largest_rounding > 0) {
    print_text("  scales were rounded to f16, by {:.1e} at most\n", report.largest_rounding);
  }
  if (!report.tokenizer_note.empty()) {
    print_text("  no tokenizer written: {}\n", report.tokenizer_note);
  }
}

void print_verification(const VerifyReport& report) {
  print_text(
      "verified at {} positions: logits differ by {:.2e} relative RMS (median), {:.2e} (worst)"
      ", same best token at {:.1f} %\n",
      report.positions, report.relative_rms_median, report.relative_rms_max,
      100.0 * report.top1_agreement);
  if (report.ternary_tensors > 0) {
    print_text("  {} ternary matrices compared code by code: {}\n", report.ternary_tensors,
               report.ternary_equal ? "identical" : "DIFFERENT");
  }
}

Json to_json(const VerifyReport& report) {
  return {{"positions", report.positions},
          {"relative_rms_median", finite_or_null(report.relative_rms_median)},
          {"relative_rms_max", finite_or_null(report.relative_rms_max)},
          {"top1_agreement", report.top1_agreement},
          {"ternary_tensors", report.ternary_tensors},
          {"ternary_equal", report.ternary_equal},
          {"lossless", report.lossless}};
}

Json to_json(const ConvertArguments& arguments, const ConvertReport& report) {
  Json document = {{"source", arguments.source},
                   {"target", arguments.target},
                   {"architecture", report.architecture},
                   {"type", type_name(report)},
                   {"rest_type", to_string(report.rest_type)},
                   {"embedding_type", to_string(report.embedding_type)},
                   {"tensors", report.tensors},
                   {"file_bytes", report.bytes},
                   {"linear_bits_per_weight", report.linear_bits_per_weight},
                   {"model_bits_per_weight", report.model_bits_per_weight},
                   {"largest_rounding", report.largest_rounding},
                   {"tokenizer", report.tokenizer_note.empty()},
                   {"verify", Json()},
                   {"version", version()}};
  if (!report.tokenizer_note.empty()) document["tokenizer_note"] = report.tokenizer_note;
  return document;
}

void check(const ConvertArguments& arguments, const VerifyReport& report) {
  const std::string fault = find_fault(report);
  if (fault.empty()) return;
  fail(ErrorCode::kBadInput, "'{}' does not compute what '{}' does: {}{}", arguments.target,
       arguments.source, fault,
       report.lossless ? "" : "; --type or --rest-type with more bits may keep more");
}

void run_convert(const ConvertArguments& arguments) {
  const ConvertReport report = convert_with_progress(arguments);
  Json document = to_json(arguments, report);
  if (!arguments.json) print_report(arguments, report);
  std::optional<VerifyReport> verification;
  if (arguments.verify) {
    ThreadPool pool(read_cpu_info().physical_cores);
    verification = verify(Model::load(arguments.source, options_of(arguments).source),
                          Model::load(arguments.target), chosen_kernels(), pool);
    document["verify"] = to_json(*verification);
    if (!arguments.json) print_verification(*verification);
  }
  if (arguments.json) print_json(document);
  if (verification) check(arguments, *verification);
}

}  // namespace

void add_convert(CLI::App& app) {
  CLI::App* command = app.add_subcommand("convert", "Write a model in another form or layout");
  auto arguments = std::make_shared<ConvertArguments>();
  command->add_option("SRC", arguments->source, "An HF model directory or a GGUF file")->required();
  command
      ->add_option("DST", arguments->target,
                   "The GGUF file to write, NAME.gguf, or an HF directory, NAME/; --format for "
                   "other names")
      ->required();
  command
      ->add_option("--type", arguments->type,
                   "Type of the linear maps: auto, f32, f16, bf16, q8_0, q6_k, tq1_0, tq2_0, i2_s, "
                   "q1_0, q2_0, sign8, trit4, trit5; packed in an HF directory")
      ->capture_default_str();
  command
      ->add_option("--rest-type", arguments->rest_type,
                   "Type of embedding and head: auto, f32, f16, bf16, q8_0, q6_k")
      ->capture_default_str();
  command
      ->add_option("--embedding-type", arguments->embedding_type,
                   "Type of the embedding alone; auto: that of the head")
      ->capture_default_str();
  command->add_option("--format", arguments->format, "auto, gguf or hf")
      ->check(CLI::IsMember({"auto", "gguf", "hf"}))
      ->capture_default_str();
  command
      ->add_option("--max-shard-size", arguments->max_shard_size,
                   "Cut the weights of an HF directory into files of this size, such as 2GB")
      ->transform(CLI::AsSizeValue(true))
      ->capture_default_str();
  command
      ->add_option("--i2s-block", arguments->i2s_block,
                   "Order of i2_s in the source: 128 as on x86, 64 as ARM builds of bitnet.cpp "
                   "write it; the bytes do not tell")
      ->check(CLI::IsMember({64, 128}));
  command->add_flag("--allow-rounding", arguments->allow_rounding,
                    "Let scales be rounded where the type keeps them as f16");
  command->add_flag("--verify", arguments->verify,
                    "Open the result again and compare weights and logits with the source");
  command->add_flag("--json", arguments->json,
                    "Print one JSON document on stdout and nothing else there");
  command->footer("Example:\n  tercet convert out/my-model my-model.gguf --type trit5 --verify");
  command->callback([arguments] { run_convert(*arguments); });
}

}  // namespace tercet::cli
