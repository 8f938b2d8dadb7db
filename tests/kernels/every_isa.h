// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include "kernels/kernel_table.h"

namespace tercet {

// Runs check(table) for each ISA that this CPU can run.
template <class Check>
void on_every_isa(Check check) {
  for (const IsaEntry& isa : available_isas()) {
    if (!isa.usable) continue;
    SCOPED_TRACE(isa.table->name);
    check(*isa.table);
  }
}

}  // namespace tercet
