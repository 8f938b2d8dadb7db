// SPDX-License-Identifier: Apache-2.0
#include "version/version.h"

#include <string_view>

#include "tercet_revision.h"

namespace tercet {

std::string version() {
  constexpr std::string_view kRevision = TERCET_REVISION;
  std::string text = TERCET_VERSION;
  if (!kRevision.empty()) text.append("+").append(kRevision);
  return text;
}

std::string build_description() {
#if defined(__clang__)
  std::string text = "Clang " __clang_version__;
#else
  std::string text = "GCC " __VERSION__;
#endif
  text += ", " TERCET_BUILD_TYPE;
  constexpr std::string_view kSanitizers = TERCET_SANITIZERS;
  if (!kSanitizers.empty()) text.append(", sanitizers ").append(kSanitizers);
  return text;
}

}  // namespace tercet
