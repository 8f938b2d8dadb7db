// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "formats/gguf.h"
#include "formats/gguf_cursor.h"

namespace tercet {

// Reads the type and value that follow the metadata key `key`. Throws kBadInput naming file and
// key; kUnsupported for an array of arrays.
GgufValue read_gguf_value(GgufCursor& cursor, const std::string& key);

}  // namespace tercet
