// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "formats/json.h"
#include "learn/data/data_source.h"
#include "learn/study/twin_charts.h"
#include "plot/page.h"

namespace tercet::learn {

// What every results file says about how it was made (DESIGN.md section 7): command, code version,
// date and machine.
struct StudyInfo {
  std::string command;
  std::string version;
};
Json provenance(const StudyInfo& info);

// The data set that a study was trained on: name, fingerprint, tokens and bytes of both splits. Of
// several the names together, and these with their weights as "sources". Throws as read_manifest()
// does.
Json data_json(const std::vector<DataSource>& data);

// Writes each chart as OUT/<name>.svg and OUT/index.html with the sections, all charts and how they
// were made.
void write_page(const std::filesystem::path& out, const std::string& title, const Json& provenance,
                const std::vector<plot::Section>& sections, const std::vector<NamedChart>& charts);

}  // namespace tercet::learn
