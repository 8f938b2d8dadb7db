// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/Device.h>
#include <c10/util/Exception.h>

#include <string>

#include "learn/pretrain/recipe.h"

namespace tercet::learn {

// "cpu" or "cuda". Throws kUnsupported when this libtorch cannot use it.
at::Device parse_device(const std::string& name);

// Fixes the thread count in the recipe, so that a resumed run uses the same, and sets it for all
// products of this process.
void settle_threads(Recipe& recipe);

// Throws what a libtorch error means to the user: kUsage where memory ran out, else kInternal with
// its first line.
[[noreturn]] void rethrow_torch_error(const c10::Error& error);

}  // namespace tercet::learn
