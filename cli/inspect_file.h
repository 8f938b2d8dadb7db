// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "formats/json.h"

namespace tercet::cli {

// What `path` holds: format, path, file_bytes, metadata {key: value}, tensors [{name, type, shape,
// bytes}] and, when the runtime can load it, model {...} and memory {...} (file_report.h), else
// model_error. Long metadata arrays
// are cut to their first entries. Throws kIo, kBadInput or kUnsupported when it is none of the
// formats.
Json inspect_file(const std::filesystem::path& path);

}  // namespace tercet::cli
