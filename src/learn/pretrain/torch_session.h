// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/Device.h>
#include <c10/util/Exception.h>

#include <string>

#include "learn/dist/team.h"
#include "learn/pretrain/recipe.h"

namespace tercet::learn {

// "cpu" or "cuda". Throws kUnsupported when this libtorch cannot use it.
at::Device parse_device(const std::string& name);
// That of this rank, opened for the team: of "cuda", a GPU of its own.
at::Device open_device(const std::string& name, Team team);

// Fixes the thread count in the recipe, so that a resumed run uses the same, and sets it for all
// products of this process. By default the physical cores, divided among the `sharing` ranks that
// run on them.
void settle_threads(Recipe& recipe, int64_t sharing);

// Throws what a libtorch error means to the user: kUsage with what is `to_lower` where memory ran
// out, else kInternal with its first line.
[[noreturn]] void rethrow_torch_error(const c10::Error& error, const char* to_lower);

}  // namespace tercet::learn
