// SPDX-License-Identifier: Apache-2.0
#include "plot/page.h"

#include <gtest/gtest.h>

#include <string>

namespace tercet::plot {
namespace {

TEST(Page, MarkupIsEscaped) {
  EXPECT_EQ(escape_markup("a<b & \"c\">\x01"), "a&lt;b &amp; &quot;c&quot;&gt;?");
  const std::string page = html_page("<script>", {{"1 < 2", "<p>kept</p>"}});
  EXPECT_EQ(page.find("<script>"), std::string::npos);
  EXPECT_NE(page.find("<p>kept</p>"), std::string::npos);
  EXPECT_NE(page.find("<h2>1 &lt; 2</h2>"), std::string::npos);
  EXPECT_NE(to_html({{"<h>"}, {{"<c>"}}}).find("<td>&lt;c&gt;</td>"), std::string::npos);
}

TEST(Page, MarkdownColumnsAlignByCharacters) {
  EXPECT_EQ(to_markdown({{"family", "gap"}, {{"µ", "+13.4 %"}, {"llama", ""}}}),
            "| family |     gap |\n"
            "|--------|--------:|\n"
            "| µ      | +13.4 % |\n"
            "| llama  |         |\n");
}

}  // namespace
}  // namespace tercet::plot
