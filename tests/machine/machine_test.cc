// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>

#include "core/aligned_buffer.h"
#include "kernels/kernel_table.h"
#include "machine/dot_peak.h"
#include "machine/memory_read.h"
#include "machine/resident_memory.h"

namespace tercet {
namespace {

TEST(MemoryRead, ReadsEverythingWithAnyNumberOfThreads) {
  const MemoryReader reader(size_t{5} << 20);
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    const ReadSpeed speed = reader.measure(pool, 5);
    EXPECT_GT(speed.median, 1e7);
    EXPECT_GE(speed.best, speed.median);
  }
}

// A loop whose work the compiler had removed would seem to run at any speed.
TEST(DotPeak, IsWithinWhatHardwareCanDo) {
  ThreadPool pool(1);
  for (const IsaEntry& isa : available_isas()) {
    const DotLoop* loop = find_dot_loop(isa.table->name);
    ASSERT_NE(loop, nullptr) << isa.table->name;
    if (!isa.usable) continue;
    const double peak = measure_dot_peak(*loop, pool);
    EXPECT_GT(peak, 1e7) << isa.table->name;
    // Four registers' worth in each cycle at 6 GHz.
    EXPECT_LT(peak, 4 * 64 * 6e9) << isa.table->name;
  }
  EXPECT_EQ(find_dot_loop("mmx"), nullptr);
}

TEST(DotPeak, TheScalarLoopMultiplies) {
  const DotLoop* loop = find_dot_loop("scalar");
  ASSERT_NE(loop, nullptr);
  uint32_t sums = 0;
  loop->run(1, &sums);
  EXPECT_EQ(int64_t{sums}, loop->macs_per_step * 3 * 127);
}

TEST(ResidentMemory, GrowsWithWhatIsWritten) {
  const uint64_t before = resident_bytes();
  AlignedBuffer buffer(size_t{32} << 20);
  std::memset(buffer.data(), 1, buffer.size());
  EXPECT_GT(resident_bytes(), before + (size_t{16} << 20));
}

}  // namespace
}  // namespace tercet
