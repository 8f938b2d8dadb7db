// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tercet::cli {

// Columns that `text` takes on a terminal: one per UTF-8 character.
size_t display_width(std::string_view text);

// `text` in lines of at most `width` columns, broken at spaces (inside a word only when it is
// longer than a line) and at line feeds.
std::vector<std::string> wrap_text(std::string_view text, size_t width);

// Two texts in columns of `width` under their titles, divided by a bar; ends with a line feed.
std::string side_by_side(const std::string& left_title, const std::string& left,
                         const std::string& right_title, const std::string& right, size_t width);

// Rows of cells under a header, columns padded to their widest cell, the first left-aligned and the
// others right-aligned. Every row has as many cells as the header.
std::string format_table(const std::vector<std::string>& header,
                         const std::vector<std::vector<std::string>>& rows);

}  // namespace tercet::cli
