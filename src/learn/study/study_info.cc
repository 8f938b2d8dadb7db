// SPDX-License-Identifier: Apache-2.0
#include "learn/study/study_info.h"

#include <fmt/chrono.h>

#include <chrono>

#include "core/cpu.h"
#include "core/file.h"
#include "learn/data/manifest.h"
#include "learn/pretrain/checkpoint.h"

namespace tercet::learn {
namespace {

std::string today() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%d}", fmt::gmtime(now));
}

Json split_json(const SplitEntry& split) {
  return {{"tokens", split.tokens}, {"bytes", split.bytes}};
}

Json source_json(const DataSource& source) {
  const std::filesystem::path data = source.path;
  const DatasetManifest manifest = read_manifest(data);
  const std::filesystem::path named = data.has_filename() ? data : data.parent_path();
  Json json = {{"name", named.filename().string()},
               {"fingerprint", file_checksum(data / kManifestName)},
               {"vocabulary", manifest.vocab_size},
               {"train", split_json(manifest.train)},
               {"validation", split_json(manifest.validation)}};
  if (source.weight) json["weight"] = *source.weight;
  return json;
}

}  // namespace

Json provenance(const StudyInfo& info) {
  const CpuInfo cpu = read_cpu_info();
  return {{"command", info.command},
          {"version", info.version},
          {"date", today()},
          {"machine",
           {{"cpu", cpu.model},
            {"physical_cores", cpu.physical_cores},
            {"logical_cores", cpu.logical_cores},
            {"features", cpu.features},
            {"memory_bytes", cpu.memory_bytes}}}};
}

Json data_json(const std::vector<DataSource>& data) {
  if (data.size() == 1) return source_json(data.front());
  Json sources = Json::array();
  std::string names;
  for (const DataSource& source : data) {
    sources.push_back(source_json(source));
    names += (names.empty() ? "" : " + ") + sources.back()["name"].get<std::string>();
  }
  return {{"name", names}, {"sources", std::move(sources)}};
}

void write_page(const std::filesystem::path& out, const std::string& title, const Json& provenance,
                const std::vector<plot::Section>& sections, const std::vector<NamedChart>& charts) {
  std::vector<plot::Section> all = sections;
  for (const NamedChart& named : charts) {
    const std::string svg = plot::to_svg(named.chart);
    write_text_file(out / (named.name + ".svg"), svg);
    all.push_back({"", fmt::format("{}<p>{}</p>\n", svg, plot::escape_markup(named.caption))});
  }
  all.push_back(
      {"How it was made",
       fmt::format("<p><code>{}</code></p>\n<p>tercet {}, {}, {}</p>\n",
                   plot::escape_markup(provenance.at("command").get<std::string>()),
                   plot::escape_markup(provenance.at("version").get<std::string>()),
                   provenance.at("date").get<std::string>(),
                   plot::escape_markup(provenance.at("machine").at("cpu").get<std::string>()))});
  write_text_file(out / "index.html", plot::html_page(title, all));
}

}  // namespace tercet::learn
