// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "machine/dot_peak.h"

// The one symbol that the object of each instruction set exports. Only those that
// TERCET_DOT_<ISA> announces are in the program.
namespace tercet {

extern const DotLoop kScalarDotLoop;
extern const DotLoop kAvx2DotLoop;
extern const DotLoop kAvxVnniDotLoop;
extern const DotLoop kAvx512DotLoop;
extern const DotLoop kNeonDotLoop;
extern const DotLoop kNeonI8mmDotLoop;

}  // namespace tercet
