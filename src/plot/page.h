// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tercet::plot {

// Text as it stands in XML and HTML: & < > " escaped, characters that XML forbids replaced.
std::string escape_markup(std::string_view text);

// Rows of cells under a header; the first column left-aligned, the others right-aligned.
struct Table {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
};
std::string to_html(const Table& table);
std::string to_markdown(const Table& table);  // columns padded, so that it also reads as text

// A self-contained HTML document: sections of ready markup (to_html, to_svg, <p>...) under
// headings.
struct Section {
  std::string heading;  // plain text
  std::string markup;
};
std::string html_page(const std::string& title, const std::vector<Section>& sections);

}  // namespace tercet::plot
