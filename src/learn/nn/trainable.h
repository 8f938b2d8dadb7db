// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "formats/model_config.h"

namespace tercet::learn {

// Throws kUnsupported naming the feature when Transformer cannot compute what `config` describes:
// the runtime runs more architectures than are trained here.
void check_trainable(const ModelConfig& config);

}  // namespace tercet::learn
