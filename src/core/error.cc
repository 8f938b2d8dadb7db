// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"

#include <system_error>

namespace tercet {

int exit_code(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kUsage:
      return 2;
    case ErrorCode::kBadInput:
    case ErrorCode::kUnsupported:
      return 3;
    case ErrorCode::kIo:
      return 4;
    case ErrorCode::kInternal:
      return 5;
    case ErrorCode::kInterrupted:
      return 130;
  }
  return 5;
}

std::string errno_text(int error_number) { return std::generic_category().message(error_number); }

}  // namespace tercet
