// SPDX-License-Identifier: Apache-2.0
#ifdef TERCET_KERNELS_AVX2
#include <cpuid.h>
#endif
#ifdef TERCET_KERNELS_NEON
#include <sys/auxv.h>
#endif

#include <algorithm>

#include "core/error.h"
#include "kernels/isa/tables.h"
#include "kernels/kernel_table.h"

namespace tercet {
namespace {

#ifdef TERCET_KERNELS_AVX2
// Not every compiler's __builtin_cpu_supports() knows this one.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & static_cast<unsigned>(bit_F16C)) != 0;
}

// __builtin_cpu_supports() also asks whether the operating system saves the registers.
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}
#endif

#ifdef TERCET_KERNELS_AVXVNNI
// Not every compiler's __builtin_cpu_supports() knows this one either.
bool has_avxvnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & (1u << 4)) != 0;
}
#endif

#ifdef TERCET_KERNELS_AVX512
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}
#endif

#ifdef TERCET_KERNELS_AVX512VBMI
bool has_avx512vbmi() { return has_avx512() && __builtin_cpu_supports("avx512vbmi"); }
#endif

#ifdef TERCET_KERNELS_NEON
// Bits of the auxiliary vector, which the oldest headers that we build with do not all name.
bool has_neon() { return (getauxval(AT_HWCAP) & (1ul << 20)) != 0; }  // ASIMDDP
bool has_neon_i8mm() { return has_neon() && (getauxval(AT_HWCAP2) & (1ul << 13)) != 0; }
#endif

std::string names_of(const std::vector<IsaEntry>& isas) {
  std::string names;
  for (const IsaEntry& isa : isas) {
    if (!names.empty()) names += ", ";
    names += isa.table->name;
  }
  return names;
}

}  // namespace

std::vector<IsaEntry> available_isas() {
  std::vector<IsaEntry> isas;
#ifdef TERCET_KERNELS_NEON
  isas.push_back({&kNeonI8mmKernels, has_neon_i8mm()});
  isas.push_back({&kNeonKernels, has_neon()});
#endif
#ifdef TERCET_KERNELS_AVX512VBMI
  isas.push_back({&kAvx512VbmiKernels, has_avx512vbmi()});
#endif
#ifdef TERCET_KERNELS_AVX512
  isas.push_back({&kAvx512Kernels, has_avx512()});
#endif
#ifdef TERCET_KERNELS_AVXVNNI
  isas.push_back({&kAvxVnniKernels, has_avxvnni()});
#endif
#ifdef TERCET_KERNELS_AVX2
  isas.push_back({&kAvx2Kernels, has_avx2()});
#endif
  isas.push_back({&kScalarKernels, true});
  return isas;
}

const KernelTable& select_kernels(std::string_view forced) {
  const std::vector<IsaEntry> isas = available_isas();
  if (forced.empty()) {
    return *std::find_if(isas.begin(), isas.end(), [](const IsaEntry& isa) {
              return isa.usable;
            })->table;
  }
  const auto found = std::find_if(isas.begin(), isas.end(), [forced](const IsaEntry& isa) {
    return isa.table->name == forced;
  });
  if (found == isas.end()) {
    fail(ErrorCode::kUsage, "TERCET_ISA is '{}', this program knows: {}", forced, names_of(isas));
  }
  if (!found->usable) {
    fail(ErrorCode::kUnsupported,
         "TERCET_ISA asks for {} and this CPU lacks it; unset it to choose the best by itself",
         forced);
  }
  return *found->table;
}

}  // namespace tercet
