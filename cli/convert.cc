// SPDX-License-Identifier: Apache-2.0
#include "model/convert.h"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/common/numbers.h"
#include "cli/common/output.h"
#include "cli/common/progress.h"
#include "cli/common/signals.h"
#include "cli/common/version.h"
#include "cli/model_argument.h"
#include "core/cpu.h"
#include "core/error.h"
#include "model/verify.h"

namespace tercet::cli {
namespace {

struct ConvertArguments {
  std::string source;
  std::string target;
  std::string type = "auto";
  std::string rest_type = "auto";
  bool verify = false;
  bool json = false;
};

std::optional<StoredType> chosen_type(const std::string& text) {
  if (text == "auto") return std::nullopt;
  return parse_stored_type(text);
}

ConvertReport convert_with_progress(const ConvertArguments& arguments) {
  std::optional<Progress> progress;
  const auto show = [&](int64_t done, int64_t total, std::string_view name) {
    if (!progress) progress.emplace("convert: tensors", total);
    progress->update(done, name);
  };
  const ConvertOptions options = {.linear_type = chosen_type(arguments.type),
                                  .rest_type = chosen_type(arguments.rest_type)};
  return convert(arguments.source, arguments.target, options, show, &stop_requested());
}

void print_report(const ConvertArguments& arguments, const ConvertReport& report) {
  print_text("wrote {}\n", arguments.target);
  print_text("  {} in {} tensors, architecture {}\n", format_bytes(report.bytes), report.tensors,
             report.architecture);
  print_text(
      "  linear maps {}, {:.4f} bits per weight; the rest {}; {:.3f} bits per weight in all\n",
      to_string(report.linear_type), report.linear_bits_per_weight, to_string(report.rest_type),
      report.model_bits_per_weight);
  if (!report.tokenizer_note.empty()) {
    print_text("  no tokenizer in the file: {}\n", report.tokenizer_note);
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
                   {"type", to_string(report.linear_type)},
                   {"rest_type", to_string(report.rest_type)},
                   {"tensors", report.tensors},
                   {"file_bytes", report.bytes},
                   {"linear_bits_per_weight", report.linear_bits_per_weight},
                   {"model_bits_per_weight", report.model_bits_per_weight},
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
    verification = verify(std::filesystem::path(arguments.source),
                          std::filesystem::path(arguments.target), chosen_kernels(), pool);
    document["verify"] = to_json(*verification);
    if (!arguments.json) print_verification(*verification);
  }
  if (arguments.json) print_json(document);
  if (verification) check(arguments, *verification);
}

}  // namespace

void add_convert(CLI::App& app) {
  CLI::App* command = app.add_subcommand("convert", "Pack a model into a GGUF file");
  auto arguments = std::make_shared<ConvertArguments>();
  command->add_option("SRC", arguments->source, "An HF model directory or a GGUF file")->required();
  command->add_option("DST", arguments->target, "The GGUF file to write")->required();
  command
      ->add_option(
          "--type", arguments->type,
          "Type of the linear maps: auto, f32, f16, bf16, q8_0, tq1_0, tq2_0, trit4, trit5")
      ->capture_default_str();
  command
      ->add_option("--rest-type", arguments->rest_type,
                   "Type of embedding and head: auto, f32, f16, bf16, q8_0")
      ->capture_default_str();
  command->add_flag("--verify", arguments->verify,
                    "Open the file again and compare weights and logits with the source");
  command->add_flag("--json", arguments->json,
                    "Print one JSON document on stdout and nothing else there");
  command->footer("Example:\n  tercet convert out/my-model my-model.gguf --type trit5 --verify");
  command->callback([arguments] { run_convert(*arguments); });
}

}  // namespace tercet::cli
