// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "learn/ptq/options.h"
#include "learn/ptq/quantize_model.h"

namespace tercet::learn {

// The report of a run as one HTML file that needs no other: errors of every map before and after
// its stages, shares of codes, weights against their scales, and the figures as tables.
std::string report_page(const PtqOptions& options, const PtqResult& result);

}  // namespace tercet::learn
