// SPDX-License-Identifier: Apache-2.0
#include "cli/common/terminal_text.h"

namespace tercet::cli {
namespace {

// U+2400 and on show the control characters by their names: ESC as one sign.
std::string control_picture(unsigned char control) {
  const auto code = static_cast<unsigned char>(control == 0x7F ? 0x21 : control);
  return {'\xE2', '\x90', static_cast<char>(0x80 + code)};
}

}  // namespace

std::string terminal_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7F) {
      out += control_picture(byte);
    } else if (byte == 0xC2 && i + 1 < text.size() &&
               static_cast<unsigned char>(text[i + 1]) < 0xA0) {
      // U+0080 to U+009F control terminals too.
      out += "\xEF\xBF\xBD";
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace tercet::cli
