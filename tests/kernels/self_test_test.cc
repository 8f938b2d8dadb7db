// SPDX-License-Identifier: Apache-2.0
#include "kernels/self_test.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "kernels/every_isa.h"

namespace tercet {
namespace {

TEST(SelfTest, EveryTablePasses) {
  on_every_isa([](const KernelTable& table) { EXPECT_NO_THROW(check_kernels(table)); });
}

// One wrong sum in one row of one token is found.
TEST(SelfTest, AWrongKernelIsNamed) {
  KernelTable broken = select_kernels("scalar");
  broken.panel_dot[static_cast<size_t>(PanelFormat::kBit4)] = [](const PanelCall& call) {
    select_kernels("scalar").panel_dot[static_cast<size_t>(PanelFormat::kBit4)](call);
    call.out[call.tokens * call.out_stride - 1] += 1.0f;
  };
  try {
    check_kernels(broken);
    FAIL() << "the wrong kernel passed";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("4-bit kernel of scalar"), std::string::npos);
  }
}

}  // namespace
}  // namespace tercet
