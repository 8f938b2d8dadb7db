// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "cli/commands.h"
#include "cli/common/numbers.h"
#include "cli/common/output.h"
#include "cli/inspect_file.h"
#include "formats/printable.h"

namespace tercet::cli {
namespace {

// A metadata value on one line.
std::string one_line(const Json& value) {
  constexpr size_t kWidth = 100;
  std::string text = value.is_string() ? value.get<std::string>()
                                       : value.dump(-1, ' ', false, Json::error_handler_t::replace);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  if (text.size() > kWidth) text = text.substr(0, kWidth - 4) + " ...";
  return text;
}

// What makes a model differ from the plain one of its kind; empty when nothing does.
std::string special_features(const Json& config) {
  std::string out;
  const auto add = [&out](const std::string& feature) {
    out += (out.empty() ? "" : ", ") + feature;
  };
  if (config["attention_bias"].get<bool>() || config["output_bias"].get<bool>()) {
    add("attention biases");
  }
  if (config["mlp_bias"].get<bool>()) add("feed-forward biases");
  if (config["qk_norm"].get<bool>()) add("head norms");
  if (config["rope_type"] != "default") {
    add(fmt::format("{} rotation, factor {}", config["rope_type"].get<std::string>(),
                    config["rope_factor"].get<float>()));
  }
  if (config["rotary_dim"] != config["head_dim"]) {
    add(fmt::format("{} elements of a head rotate", config["rotary_dim"].dump()));
  }
  if (config["sliding_layers"] != 0) {
    add(fmt::format("window of {} in {} layers", config["sliding_window"].dump(),
                    config["sliding_layers"].dump()));
  }
  return out;
}

void print_model(const Json& model) {
  const Json& config = model["config"];
  print_text("{:<16} {}, {} parameters ({} in linear maps)\n", "model",
             one_line(model["architecture"]), format_count(model["parameters"].get<uint64_t>()),
             format_count(model["linear_parameters"].get<uint64_t>()));
  print_text(
      "{:<16} {} layers, hidden {}, feed-forward {}, {} heads of {} ({} for keys), "
      "vocabulary {}, context {}\n",
      "shape", config["num_hidden_layers"].dump(), config["hidden_size"].dump(),
      config["intermediate_size"].dump(), config["num_attention_heads"].dump(),
      config["head_dim"].dump(), config["num_key_value_heads"].dump(), config["vocab_size"].dump(),
      config["max_position_embeddings"].dump());
  print_text("{:<16} {} linear maps, {} norms, {}\n", "kind", one_line(config["linear"]),
             one_line(config["norm"]), one_line(config["hidden_act"]));
  const std::string features = special_features(config);
  if (!features.empty()) print_text("{:<16} {}\n", "features", features);
  print_text("{:<16} {:.4f} in linear maps, {:.3f} in all\n", "bits per weight",
             model["linear_bits_per_weight"].get<double>(),
             model["model_bits_per_weight"].get<double>());
  print_text("{:<16} {} weights, {} keys and values at full context\n", "memory to run",
             format_bytes(model["weight_bytes"].get<uint64_t>()),
             format_bytes(model["kv_cache_bytes"].get<uint64_t>()));
  const Json& note = model["tokenizer_note"];
  print_text("{:<16} {}\n", "tokenizer",
             note.is_null() ? model["tokenizer_pieces"].dump() + " pieces" : one_line(note));
}

// "14 x tq2_0 (3.2 MB), 9 x f32 (20 kB)".
std::string types_text(const Json& types) {
  std::string out;
  for (const auto& [type, entry] : types.items()) {
    if (!out.empty()) out += ", ";
    out += fmt::format("{} x {} ({})", entry["tensors"].get<int64_t>(), printable(type),
                       format_bytes(entry["bytes"].get<uint64_t>()));
  }
  return out;
}

void print_report(const Json& report) {
  print_text("{:<16} {}\n", "file", one_line(report["path"]));
  const int64_t parts = report.value("parts", int64_t{1});
  print_text("{:<16} {}, {}{}\n", "format", one_line(report["format"]),
             format_bytes(report["file_bytes"].get<uint64_t>()),
             parts > 1 ? fmt::format(" in {} files", parts) : "");
  print_text("{:<16} {}\n", "types", types_text(report["types"]));
  if (report.contains("i2_s")) {
    const Json& order = report["i2_s"];
    print_text("{:<16} blocks of {}{}\n", "i2_s order", order["block"].dump(),
               order["stated"].get<bool>() ? ""
                                           : ", which the file does not say; convert --i2s-block "
                                             "64 for files of ARM builds of bitnet.cpp");
  }
  if (report.contains("model")) print_model(report["model"]);
  if (report.contains("memory")) {
    for (const Json& context : report["memory"]["contexts"]) {
      print_text("{:<16} {}\n", "here and now", one_line(context["sentence"]));
    }
  }
  if (report.contains("model_error")) {
    print_text("{:<16} {}\n", "cannot run", one_line(report["model_error"]));
  }
  if (!report["metadata"].empty()) print_text("\nmetadata\n");
  for (const auto& [key, value] : report["metadata"].items()) {
    print_text("  {:<44} {}\n", printable(key), one_line(value));
  }
  print_text("\n{} tensors\n", report["tensors"].size());
  for (const Json& tensor : report["tensors"]) {
    print_text("  {:<44} {:<7} {:<18} {:>10}\n", one_line(tensor["name"]), one_line(tensor["type"]),
               tensor["shape"].dump(), format_bytes(tensor["bytes"].get<uint64_t>()));
  }
}

}  // namespace

void add_inspect(CLI::App& app) {
  CLI::App* command = app.add_subcommand("inspect", "Show what a model file holds");
  struct Arguments {
    std::string path;
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  command
      ->add_option("FILE", arguments->path,
                   "A GGUF file, an HF model directory or a .safetensors file")
      ->required();
  command->add_flag("--json", arguments->json,
                    "Print one JSON document on stdout and nothing else there");
  command->footer("Example:\n  tercet inspect models/novel-b158.gguf");
  command->callback([arguments] {
    const Json report = inspect_file(arguments->path);
    if (arguments->json) {
      print_json(report);
    } else {
      print_report(report);
    }
  });
}

}  // namespace tercet::cli
