// SPDX-License-Identifier: Apache-2.0
#include "cli/common/side_by_side.h"

#include <algorithm>

namespace tercet::cli {
namespace {

bool starts_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

std::string padded(std::string_view text, size_t width, bool right_aligned) {
  const size_t own = display_width(text);
  const std::string blanks(width > own ? width - own : 0, ' ');
  return right_aligned ? blanks + std::string(text) : std::string(text) + blanks;
}

// Bytes of the first `columns` characters.
size_t prefix_bytes(std::string_view text, size_t columns) {
  size_t seen = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (starts_character(text[i]) && seen++ == columns) return i;
  }
  return text.size();
}

void wrap_paragraph(std::string_view text, size_t width, std::vector<std::string>& lines) {
  while (display_width(text) > width) {
    const size_t limit = prefix_bytes(text, width);
    const size_t space = text.rfind(' ', limit);
    const bool in_word = space == std::string_view::npos || space == 0;
    lines.emplace_back(text.substr(0, in_word ? limit : space));
    text.remove_prefix(in_word ? limit : space + 1);
  }
  lines.emplace_back(text);
}

}  // namespace

size_t display_width(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), starts_character));
}

std::vector<std::string> wrap_text(std::string_view text, size_t width) {
  std::vector<std::string> lines;
  while (true) {
    const size_t end = text.find('\n');
    wrap_paragraph(text.substr(0, end), std::max<size_t>(1, width), lines);
    if (end == std::string_view::npos) return lines;
    text.remove_prefix(end + 1);
  }
}

std::string side_by_side(const std::string& left_title, const std::string& left,
                         const std::string& right_title, const std::string& right, size_t width) {
  std::vector<std::string> left_lines = wrap_text(left, width);
  std::vector<std::string> right_lines = wrap_text(right, width);
  left_lines.insert(left_lines.begin(), {left_title, std::string(width, '-')});
  right_lines.insert(right_lines.begin(), {right_title, std::string(width, '-')});
  const size_t rows = std::max(left_lines.size(), right_lines.size());
  left_lines.resize(rows);
  right_lines.resize(rows);
  std::string out;
  for (size_t i = 0; i < rows; ++i) {
    out += "  " + padded(left_lines[i], width, false) + " | " + right_lines[i] + "\n";
  }
  return out;
}

std::string format_table(const std::vector<std::string>& header,
                         const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> all = {header};
  all.insert(all.end(), rows.begin(), rows.end());
  std::vector<size_t> widths(header.size(), 0);
  for (const auto& row : all) {
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], display_width(row[c]));
  }
  std::string out;
  for (size_t r = 0; r < all.size(); ++r) {
    out += " ";
    for (size_t c = 0; c < all[r].size(); ++c)
      out += " " + padded(all[r][c], widths[c], c > 0) + " ";
    out += "\n";
    if (r > 0) continue;
    out += " ";
    for (const size_t width : widths) out += " " + std::string(width, '-') + " ";
    out += "\n";
  }
  return out;
}

}  // namespace tercet::cli
