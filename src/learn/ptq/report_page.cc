// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/report_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "learn/ptq/output_directory.h"
#include "plot/chart.h"
#include "plot/page.h"

namespace tercet::learn {
namespace {

using plot::Chart;
using plot::Series;

plot::Axis maps_axis() {
  return {.title = "q, k, v, o, gate, up, down, each from the first layer to the last"};
}

size_t kind_of(const LayerReport& report) {
  const auto& maps = linear_maps();
  return static_cast<size_t>(
      std::find_if(maps.begin(), maps.end(),
                   [&](const std::string& map) { return report.name.ends_with(map); }) -
      maps.begin());
}

// For charts: kinds differ more than layers.
std::vector<LayerReport> by_kind(std::vector<LayerReport> layers) {
  std::stable_sort(layers.begin(), layers.end(), [](const LayerReport& a, const LayerReport& b) {
    return kind_of(a) < kind_of(b);
  });
  return layers;
}

Series series_of(const std::vector<LayerReport>& layers, const std::string& name, size_t colour,
                 const std::function<double(const LayerReport&)>& value) {
  Series out{.name = name, .points = {}, .colour = colour, .marks = layers.size() <= 80};
  for (size_t i = 0; i < layers.size(); ++i) {
    out.points.push_back({static_cast<double>(i), value(layers[i])});
  }
  return out;
}

Chart error_chart(const std::vector<LayerReport>& layers) {
  Chart chart{.title = "Error of each map's outputs",
              .x = maps_axis(),
              .y = {.title = "of the outputs' mean square", .logarithmic = true},
              .series = {}};
  const auto& stages = layers.front().stages;
  if (stages.empty()) return chart;
  const auto error_at = [](size_t stage) {
    return [stage](const LayerReport& layer) {
      return stage < layer.stages.size() ? layer.stages[stage].error : 0.0;
    };
  };
  for (size_t i = 0; i < stages.size(); ++i) {
    chart.series.push_back(series_of(layers, stages[i].stage, i, error_at(i)));
  }
  return chart;
}

Chart shares_chart(const std::vector<LayerReport>& layers) {
  Chart chart{.title = "Shares of codes",
              .x = maps_axis(),
              .y = {.title = "% of weights", .low = 0},
              .series = {}};
  constexpr const char* kNames[] = {"-1", "0", "+1"};
  for (size_t code = 0; code < 3; ++code) {
    chart.series.push_back(series_of(layers, kNames[code], code, [code](const LayerReport& layer) {
      return 100 * layer.shares[code];
    }));
  }
  return chart;
}

Chart weights_chart(const std::vector<LayerReport>& layers) {
  std::vector<double> counts(static_cast<size_t>(kHistogramBins), 0.0);
  double all = 0;
  for (const LayerReport& layer : layers) {
    for (size_t i = 0; i < layer.histogram.size() && i < counts.size(); ++i) {
      counts[i] += static_cast<double>(layer.histogram[i]);
    }
    all += static_cast<double>(layer.rows * layer.cols);
  }
  const double width = 2 * kHistogramEnd / kHistogramBins;
  Series outline{.name = "", .points = {}, .colour = 1};
  for (size_t i = 0; i < counts.size(); ++i) {
    const double left = -kHistogramEnd + width * static_cast<double>(i);
    outline.points.push_back({left, counts[i] / (all * width)});
    outline.points.push_back({left + width, counts[i] / (all * width)});
  }
  return {.title = "The source's weights over their scale",
          .x = {.title = "weight / scale"},
          .y = {.title = "density", .low = 0},
          .series = {outline}};
}

std::string stages_text(const LayerReport& layer) {
  std::string text;
  for (const StageError& stage : layer.stages) {
    text += fmt::format("{}{} {:.4f}", text.empty() ? "" : ", ", stage.stage, stage.error);
  }
  return text;
}

plot::Table maps_table(const std::vector<LayerReport>& layers) {
  plot::Table table{{"map", "shape", "bits/weight", "-1 / 0 / +1 %", "mean scale", "shrinkage",
                     "error after each stage", "block's loss", "seconds"},
                    {}};
  for (const LayerReport& layer : layers) {
    table.rows.push_back({layer.name, fmt::format("{} x {}", layer.rows, layer.cols),
                          fmt::format("{:.3f}", layer.bits_per_weight),
                          fmt::format("{:.1f} / {:.1f} / {:.1f}", 100 * layer.shares[0],
                                      100 * layer.shares[1], 100 * layer.shares[2]),
                          fmt::format("{:.3g}", layer.mean_scale),
                          fmt::format("{:.3g}", layer.shrinkage), stages_text(layer),
                          layer.block_loss > 0 ? fmt::format("{:.4f}", layer.block_loss) : "",
                          fmt::format("{:.1f}", layer.seconds)});
  }
  return table;
}

plot::Table figures_table(const PtqResult& result) {
  plot::Table table{{"figure", "value"}, {}};
  const auto row = [&](const std::string& name, const std::string& value) {
    table.rows.push_back({name, value});
  };
  row("weights in quantized maps", fmt::format("{}", result.quantized_weights));
  row("bits per weight there, every scale counted", fmt::format("{:.4f}", result.bits_per_weight));
  if (result.file) {
    row(fmt::format("bits per weight in {}: maps as {}", result.file->name, result.file->type),
        fmt::format("{:.4f}", result.file->linear_bits_per_weight));
    row(fmt::format("of the whole file: embedding {}, head {}, norms f32",
                    result.file->embedding_type, result.file->head_type),
        fmt::format("{:.4f}", result.file->model_bits_per_weight));
    row("bytes of the file", fmt::format("{}", result.file->bytes));
  }
  row("calibration tokens", fmt::format("{}", result.plan.tokens));
  row("seconds", fmt::format("{:.1f}", result.seconds));
  row("peak memory, MiB", fmt::format("{}", result.peak_rss_bytes >> 20));
  if (result.tuning) {
    row("KL in the last pass, first and last tenth",
        fmt::format("{:.4f}, {:.4f}", result.tuning->first_loss, result.tuning->last_loss));
  }
  if (!result.evaluation) return table;
  const EvaluationReport& e = *result.evaluation;
  row("evaluated tokens", fmt::format("{}", e.tokens));
  row("nats per token, source and quantized",
      fmt::format("{:.4f}, {:.4f}", e.source_nll, e.mean_nll));
  row("perplexity, source and quantized",
      fmt::format("{:.3f}, {:.3f}", e.source_perplexity(), e.perplexity()));
  row("KL from the source, nats", fmt::format("{:.4f}", e.kl_divergence_mean));
  row("same best token", fmt::format("{:.1f} %", 100 * e.top1_agreement));
  return table;
}

plot::Table options_table(const PtqOptions& options) {
  plot::Table table{{"option", "value"}, {}};
  const Json fields = to_json(options);
  for (const auto& [name, value] : fields.items()) {
    table.rows.push_back({name, value.dump()});
  }
  return table;
}

}  // namespace

std::string report_page(const PtqOptions& options, const PtqResult& result) {
  const std::vector<LayerReport>& layers = result.layers;
  const std::vector<LayerReport> kinds = by_kind(layers);
  std::string charts;
  for (const Chart& chart : {error_chart(kinds), shares_chart(kinds), weights_chart(kinds)}) {
    charts += plot::to_svg(chart);
  }
  return plot::html_page(
      fmt::format("{} of {}", to_string(options.layer.method), options.source.filename().string()),
      {{"", plot::to_html(figures_table(result))},
       {"Maps", charts + plot::to_html(maps_table(layers))},
       {"Options", plot::to_html(options_table(options))}});
}

}  // namespace tercet::learn
