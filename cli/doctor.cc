// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/common/learning_half.h"
#include "cli/common/numbers.h"
#include "cli/common/output.h"
#include "cli/file_report.h"
#include "core/cpu.h"
#include "core/error.h"
#include "kernels/kernel_table.h"
#include "machine/memory_read.h"
#include "version/version.h"

namespace tercet::cli {
namespace {

// The word in brackets of the kernel's setting: "always", "madvise" or "never".
std::string huge_page_setting() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string line;
  std::getline(file, line);
  const size_t open = line.find('[');
  const size_t close = line.find(']');
  if (open == std::string::npos || close == std::string::npos || close < open) return "unknown";
  return line.substr(open + 1, close - open - 1);
}

// The kernels that would run, or why none would.
struct Selection {
  std::string isa;
  std::string problem;
};

Selection select(const std::string& forced) {
  try {
    return {select_kernels(forced).name, ""};
  } catch (const Error& error) {
    return {"", error.what()};
  }
}

Json isa_table(const std::string& chosen) {
  Json table = Json::array();
  for (const IsaEntry& entry : available_isas()) {
    table.push_back({{"name", entry.table->name},
                     {"usable", entry.usable},
                     {"chosen", entry.table->name == chosen}});
  }
  return table;
}

// What `tercet-learn doctor --json` says; null without a learning half.
Json ask_learning_half(Json& problems) {
  const auto program = find_learning_half();
  if (!program) return Json();
  Json answer = {{"program", program->string()}};
  try {
    const ChildResult child = run_and_capture(*program, {"doctor", "--json"});
    if (child.exit_status != 0) {
      fail(ErrorCode::kInternal, "'{} doctor' ended with status {}", program->string(),
           child.exit_status);
    }
    const Json said = parse_json(child.output, "the output of tercet-learn doctor");
    if (said.is_object()) answer.update(said);
  } catch (const Error& error) {
    problems.push_back(error.what());
  }
  for (const Json& problem : answer.value("problems", Json::array())) problems.push_back(problem);
  answer.erase("problems");
  return answer;
}

// Bytes per second that all cores read together; 0 when memory is too short to tell.
double memory_read_speed(int threads) {
  const uint64_t room = available_memory_bytes() / 2;
  if (room > 0 && room < MemoryReader::kDefaultBytes) return 0;
  ThreadPool pool(threads);
  return MemoryReader().measure(pool, 5).best;
}

Json examine() {
  const CpuInfo cpu = read_cpu_info();
  const char* environment = std::getenv("TERCET_ISA");
  const std::string forced = environment == nullptr ? "" : environment;
  const Selection selection = select(forced);
  Json problems = Json::array();
  if (!selection.problem.empty()) problems.push_back(selection.problem);
  Json report = {{"version", version()},
                 {"build", build_description()},
                 {"cpu", cpu.model},
                 {"physical_cores", cpu.physical_cores},
                 {"logical_cores", cpu.logical_cores},
                 {"cpu_features", cpu.features},
                 {"memory_bytes", cpu.memory_bytes},
                 {"available_memory_bytes", available_memory_bytes()},
                 {"memory_read_bytes_per_s", memory_read_speed(cpu.physical_cores)},
                 {"huge_pages", huge_page_setting()},
                 {"isas", isa_table(selection.isa)},
                 {"isa", selection.isa},
                 {"TERCET_ISA", forced}};
  report["learning_half"] = ask_learning_half(problems);
  report["problems"] = problems;
  return report;
}

void print_isas(const Json& report) {
  print_text("kernels        ");
  for (const Json& isa : report["isas"]) {
    const bool chosen = isa["chosen"].get<bool>();
    const char* state = chosen                      ? " (chosen)"
                        : isa["usable"].get<bool>() ? ""
                                                    : " (not on this CPU)";
    print_text(" {}{}", isa["name"].get<std::string>(), state);
  }
  const std::string forced = report["TERCET_ISA"];
  print_text("{}\n", forced.empty() ? "" : fmt::format(", TERCET_ISA={}", forced));
}

void print_learning_half(const Json& learning) {
  if (learning.is_null()) {
    return print_text("learning half   not built: training is not available\n");
  }
  for (const auto& [key, value] : learning.items()) {
    print_text("{:<15} {}\n", key == "program" ? "learning half" : "  " + key,
               value.is_string() ? value.get<std::string>() : value.dump());
  }
}

void print_report(const Json& report) {
  print_text("tercet          {} ({})\n", report["version"].get<std::string>(),
             report["build"].get<std::string>());
  print_text("CPU             {}, {} cores, {} threads\n", report["cpu"].get<std::string>(),
             report["physical_cores"].get<int>(), report["logical_cores"].get<int>());
  print_text("memory          {}, {} available, read at {}/s by all cores\n",
             format_bytes(report["memory_bytes"].get<uint64_t>()),
             format_bytes(report["available_memory_bytes"].get<uint64_t>()),
             format_bytes(static_cast<uint64_t>(report["memory_read_bytes_per_s"].get<double>())));
  print_text("huge pages      {}\n", report["huge_pages"].get<std::string>());
  print_isas(report);
  print_learning_half(report["learning_half"]);
  for (const Json& problem : report["problems"]) {
    print_text("PROBLEM         {}\n",
               problem.is_string() ? problem.get<std::string>() : problem.dump());
  }
  if (report["problems"].empty()) print_text("no problems found\n");
}

}  // namespace

void add_doctor(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "doctor", "Show what this build and machine can do, what is wrong, and what a file is");
  struct Arguments {
    std::vector<std::string> files;
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  command->add_option("FILE", arguments->files,
                      "Also say what these files or directories are and whether they can run here");
  command->add_flag("--json", arguments->json,
                    "Print one JSON document on stdout and nothing else there");
  command->footer(
      "Example:\n  tercet doctor\n  tercet doctor models/novel-b158.gguf\n"
      "  TERCET_ISA=generic tercet doctor --json");
  command->callback([arguments] {
    Json files = Json::array();
    for (const std::string& file : arguments->files) files.push_back(report_file(file));
    Json report = examine();
    report["files"] = files;
    if (arguments->json) return print_json(report);
    print_report(report);
    for (const Json& file : files) {
      print_text("\n");
      print_file_report(file);
    }
  });
}

}  // namespace tercet::cli
