// SPDX-License-Identifier: Apache-2.0
#include "cli/bench/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "cli/common/numbers.h"
#include "cli/common/side_by_side.h"
#include "core/cpu.h"
#include "version/version.h"

namespace tercet::cli {
namespace {

constexpr double kGiga = 1e9;
constexpr double kTera = 1e12;

// Speeds of one number of threads, each ratio taken within a repetition before the median is.
struct Line {
  Spread prompt;
  Spread generation;
  Spread memory;           // bytes per second
  Spread bandwidth_share;  // bytes that generation read / bytes that memory can give
  Spread macs;             // int8 multiply-adds per second in ternary products
  Spread dot_peak;
  Spread dot_share;
};

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

// Bytes of weights read for each token: those of a batch share one reading.
double bytes_per_token(const BenchReport& report) {
  return static_cast<double>(report.result.cost.weight_bytes) /
         static_cast<double>(report.plan.batch);
}

Line line_of(const ThreadSamples& samples, const BenchReport& report) {
  const TokenCost& cost = report.result.cost;
  const double bytes = bytes_per_token(report);
  const auto macs = static_cast<double>(cost.int8_macs);
  Line line;
  line.prompt = samples.spread([](const Sample& s) { return s.prompt_tokens; });
  line.generation = samples.spread([](const Sample& s) { return s.generated_tokens; });
  line.memory = samples.spread([](const Sample& s) { return s.memory_bytes; });
  line.dot_peak = samples.spread([](const Sample& s) { return s.dot_macs; });
  line.macs = samples.spread([=](const Sample& s) { return s.prompt_tokens * macs; });
  line.bandwidth_share = samples.spread(
      [=](const Sample& s) { return ratio(s.generated_tokens * bytes, s.memory_bytes); });
  line.dot_share =
      samples.spread([=](const Sample& s) { return ratio(s.prompt_tokens * macs, s.dot_macs); });
  return line;
}

Json spread_json(const Spread& spread, double unit = 1) {
  return {{"median", spread.median / unit}, {"min", spread.min / unit}, {"max", spread.max / unit}};
}

Json samples_json(const ThreadSamples& samples) {
  Json list = Json::array();
  for (const Sample& sample : samples.samples) {
    list.push_back({{"pp_tokens_per_s", sample.prompt_tokens},
                    {"tg_tokens_per_s", sample.generated_tokens},
                    {"memory_gb_per_s", sample.memory_bytes / kGiga},
                    {"dot_peak_macs_per_s", sample.dot_macs}});
  }
  return list;
}

Json line_json(const ThreadSamples& samples, const BenchReport& report) {
  const Line line = line_of(samples, report);
  Json out = {{"threads", samples.threads},
              {"memory_gb_per_s", spread_json(line.memory, kGiga)},
              {"samples", samples_json(samples)}};
  if (report.plan.prompt_tokens > 0) {
    out["pp_tokens_per_s"] = spread_json(line.prompt);
    out["pp_int8_macs_per_s"] = spread_json(line.macs);
    out["dot_peak_macs_per_s"] = spread_json(line.dot_peak);
    out["dot_share"] = spread_json(line.dot_share);
  }
  if (report.plan.generated_tokens > 0) {
    const double bytes = bytes_per_token(report) / kGiga;
    out["tg_tokens_per_s"] = spread_json(line.generation);
    out["weights_gb_per_s"] = spread_json(line.generation, 1 / bytes);
    out["bandwidth_share"] = spread_json(line.bandwidth_share);
  }
  return out;
}

std::string rate_text(const Spread& spread) {
  return fmt::format("{:.1f} ({:.1f}-{:.1f})", spread.median, spread.min, spread.max);
}

std::string percent_text(double share) {
  return share > 0 ? fmt::format("{:.0f} %", 100 * share) : "-";
}

std::string table(const BenchReport& report) {
  const bool prompts = report.plan.prompt_tokens > 0;
  const bool generation = report.plan.generated_tokens > 0;
  std::vector<std::string> header = {"threads"};
  if (prompts) {
    for (const char* name : {"prompt tokens/s", "TMAC/s", "of dot peak"}) header.push_back(name);
  }
  if (generation) {
    for (const char* name : {"generated tokens/s", "weights GB/s", "memory GB/s", "of memory"}) {
      header.push_back(name);
    }
  }
  std::vector<std::vector<std::string>> rows;
  for (const ThreadSamples& samples : report.result.by_threads) {
    const Line line = line_of(samples, report);
    std::vector<std::string> row = {std::to_string(samples.threads)};
    if (prompts) {
      row.push_back(rate_text(line.prompt));
      row.push_back(fmt::format("{:.3f}", line.macs.median / kTera));
      row.push_back(percent_text(line.dot_share.median));
    }
    if (generation) {
      const double bytes = bytes_per_token(report);
      row.push_back(rate_text(line.generation));
      row.push_back(fmt::format("{:.1f}", line.generation.median * bytes / kGiga));
      row.push_back(rate_text(
          {line.memory.median / kGiga, line.memory.min / kGiga, line.memory.max / kGiga}));
      row.push_back(percent_text(line.bandwidth_share.median));
    }
    rows.push_back(std::move(row));
  }
  return format_table(header, rows);
}

}  // namespace

Json to_json(const BenchReport& report) {
  const CpuInfo cpu = read_cpu_info();
  Json results = Json::array();
  for (const ThreadSamples& samples : report.result.by_threads) {
    results.push_back(line_json(samples, report));
  }
  return {{"model", report.model},
          {"model_bytes", report.model_bytes},
          {"layers", report.layers},
          {"distinct_layers", report.distinct_layers},
          {"weight_bytes_per_token", report.result.cost.weight_bytes},
          {"head_bytes_per_token", report.result.cost.head_bytes},
          {"int8_macs_per_token", report.result.cost.int8_macs},
          {"peak_rss_bytes", report.result.peak_rss_bytes},
          {"rss_after_load_bytes", report.result.rss_after_load_bytes},
          {"load_seconds", report.load_seconds},
          {"prompt_tokens", report.plan.prompt_tokens},
          {"generated_tokens", report.plan.generated_tokens},
          {"batch", report.plan.batch},
          {"repetitions", report.plan.repetitions},
          {"isa", report.isa},
          {"dot_instruction", report.result.dot_instruction},
          {"cpu", cpu.model},
          {"physical_cores", cpu.physical_cores},
          {"version", version()},
          {"results", results}};
}

std::string format_report(const BenchReport& report) {
  const BenchResult& result = report.result;
  std::string out = fmt::format(
      "{}\n  {} in the file, {} of weights read for a token, {} of them by the head\n",
      report.model, format_bytes(report.model_bytes), format_bytes(report.result.cost.weight_bytes),
      format_bytes(report.result.cost.head_bytes));
  out += fmt::format("  loaded in {}, {} in memory then, {} at the most; {}, {}\n\n",
                     format_seconds(report.load_seconds), format_bytes(result.rss_after_load_bytes),
                     format_bytes(result.peak_rss_bytes), report.isa, read_cpu_info().model);
  if (report.distinct_layers < report.layers) {
    out += fmt::format(
        "  {} of {} layers lie in memory and are read again and again: the speed is that of the\n"
        "  whole model as long as they are larger than the caches; the memory is not\n\n",
        report.distinct_layers, report.layers);
  }
  out += table(report);
  out +=
      fmt::format("\n  {} prompt tokens, {} generated, {} repetition{}: median (lowest-highest)\n",
                  report.plan.prompt_tokens, report.plan.generated_tokens, report.plan.repetitions,
                  report.plan.repetitions == 1 ? "" : "s");
  if (report.plan.prompt_tokens > 0 && report.result.cost.int8_macs > 0) {
    out += fmt::format(
        "  TMAC/s: 10^12 int8 multiply-adds in ternary products; dot peak: {} and nothing else\n",
        result.dot_instruction);
  }
  if (report.plan.batch > 1) {
    out += fmt::format("  {} sequences generate together; their tokens are added up\n",
                       report.plan.batch);
  }
  if (report.plan.generated_tokens > 0) {
    out += "  memory: plain reads by as many threads, measured before and after each generation\n";
  }
  return out;
}

}  // namespace tercet::cli
