// SPDX-License-Identifier: Apache-2.0
#include "plot/page.h"

#include <fmt/format.h>

#include <algorithm>

namespace tercet::plot {
namespace {

constexpr const char* kStyle =
    "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;"
    "background:#fff}"
    "table{border-collapse:collapse;display:block;overflow-x:auto}"
    "td,th{border:1px solid #ccc;padding:.3rem .6rem;text-align:right}"
    "td:first-child,th:first-child{text-align:left}"
    "svg{max-width:100%;height:auto;margin:.5rem 0}"
    "code{overflow-wrap:anywhere}";

// Columns on a terminal: one per UTF-8 character.
size_t columns(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string html_row(const std::vector<std::string>& cells, const char* tag) {
  std::string row = "<tr>";
  for (const std::string& cell : cells) {
    row += fmt::format("<{0}>{1}</{0}>", tag, escape_markup(cell));
  }
  return row + "</tr>\n";
}

std::string markdown_row(const std::vector<std::string>& cells, const std::vector<size_t>& widths) {
  std::string row = "|";
  for (size_t i = 0; i < cells.size(); ++i) {
    const std::string space(widths[i] - columns(cells[i]), ' ');
    row += i == 0 ? " " + cells[i] + space + " |" : " " + space + cells[i] + " |";
  }
  return row + "\n";
}

}  // namespace

std::string escape_markup(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? '?' : c;
    }
  }
  return out;
}

std::string to_html(const Table& table) {
  std::string html = "<table>\n" + html_row(table.header, "th");
  for (const auto& row : table.rows) html += html_row(row, "td");
  return html + "</table>\n";
}

std::string to_markdown(const Table& table) {
  std::vector<size_t> widths;
  for (size_t i = 0; i < table.header.size(); ++i) {
    size_t width = std::max<size_t>(columns(table.header[i]), 3);
    for (const auto& row : table.rows) width = std::max(width, columns(row[i]));
    widths.push_back(width);
  }
  std::string text = markdown_row(table.header, widths) + "|";
  for (size_t i = 0; i < widths.size(); ++i) {
    text += i == 0 ? std::string(widths[i] + 2, '-') + "|" : std::string(widths[i] + 1, '-') + ":|";
  }
  text += "\n";
  for (const auto& row : table.rows) text += markdown_row(row, widths);
  return text;
}

std::string html_page(const std::string& title, const std::vector<Section>& sections) {
  std::string html = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{0}</title>\n<style>{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n",
      escape_markup(title), kStyle);
  for (const Section& section : sections) {
    if (!section.heading.empty()) {
      html += fmt::format("<h2>{}</h2>\n", escape_markup(section.heading));
    }
    html += section.markup;
  }
  return html + "</body>\n</html>\n";
}

}  // namespace tercet::plot
