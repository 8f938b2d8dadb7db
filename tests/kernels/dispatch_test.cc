// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "core/cpu.h"
#include "core/error.h"
#include "kernels/every_isa.h"

namespace tercet {
namespace {

TEST(Dispatch, ScalarIsLastAndAlwaysUsable) {
  const auto isas = available_isas();
  ASSERT_FALSE(isas.empty());
  EXPECT_STREQ(isas.back().table->name, "scalar");
  EXPECT_TRUE(isas.back().usable);
}

TEST(Dispatch, NamesAreDistinctAndTablesComplete) {
  std::set<std::string> names;
  for (const IsaEntry& isa : available_isas()) {
    const KernelTable& table = *isa.table;
    EXPECT_TRUE(names.insert(table.name).second);
    EXPECT_TRUE(table.quantize_absmax_i8 && table.dot_f32 && table.dot_f16 && table.dot_bf16 &&
                table.dot_q8_0)
        << table.name;
    for (const PanelFormat format : {PanelFormat::kBit1, PanelFormat::kBit2, PanelFormat::kBit4}) {
      EXPECT_NE(table.panel_dot[static_cast<size_t>(format)], nullptr) << table.name;
    }
    EXPECT_EQ(table.tiles.front(), 1) << table.name;
    EXPECT_TRUE(std::is_sorted(table.tiles.begin(), table.tiles.end())) << table.name;
  }
}

TEST(Dispatch, AgreesWithTheKernelsListOfCpuFeatures) {
  const CpuInfo cpu = read_cpu_info();
  for (const IsaEntry& isa : available_isas()) {
    const std::string name = isa.table->name;
    if (name == "avx2") {
      EXPECT_EQ(isa.usable, cpu.has("avx2") && cpu.has("fma") && cpu.has("f16c"));
    }
    if (name == "avx512") {
      EXPECT_EQ(isa.usable, cpu.has("avx512_vnni") && cpu.has("avx512bw"));
    }
  }
}

TEST(Dispatch, ChoosesTheFirstUsable) {
  for (const IsaEntry& isa : available_isas()) {
    if (!isa.usable) continue;
    EXPECT_EQ(&select_kernels(""), isa.table);
    break;
  }
}

TEST(Dispatch, ObeysAForcedName) {
  for (const IsaEntry& isa : available_isas()) {
    if (isa.usable) {
      EXPECT_EQ(&select_kernels(isa.table->name), isa.table);
      continue;
    }
    try {
      select_kernels(isa.table->name);
      ADD_FAILURE() << isa.table->name << " was given although this CPU lacks it";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    }
  }
}

TEST(Dispatch, RefusesAnUnknownName) {
  for (const char* name : {"sse9", "Scalar", "scalar ", "avx"}) {
    try {
      select_kernels(name);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
      EXPECT_NE(std::string(error.what()).find("scalar"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace tercet
