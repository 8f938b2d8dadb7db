# SPDX-License-Identifier: Apache-2.0
# Language level, warnings and sanitizers; every module links `tercet_options`.
include_guard(GLOBAL)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

find_program(TERCET_CCACHE ccache)
if(TERCET_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${TERCET_CCACHE})
endif()

set(TERCET_SANITIZE "" CACHE STRING "Comma-separated sanitizers, e.g. address,undefined")

add_library(tercet_options INTERFACE)
# -ffp-contract=off: the same source gives the same floating-point result whether or not the
# compiler may use FMA, which the parity promise between CPUs rests on.
target_compile_options(tercet_options INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor
  -Wold-style-cast -Wcast-qual -Wconversion -Wno-sign-conversion -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 reports impossible overlaps in std::string at -O3 (its bug 105651).
  target_compile_options(tercet_options INTERFACE -Wno-restrict)
endif()
if(TERCET_WERROR)
  target_compile_options(tercet_options INTERFACE -Werror)
endif()
if(TERCET_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "TERCET_FUZZ needs clang: -DCMAKE_CXX_COMPILER=clang++-14")
  endif()
  set(TERCET_SANITIZE "fuzzer-no-link,address,undefined")
  # A fuzzer wants many runs soon, built in little time; the standard library's own checks of indices
  # and iterators see what the sanitizers cannot.
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
  string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
  set(CMAKE_CXX_FLAGS_${build_type} "-O1 -gline-tables-only")
endif()
if(TERCET_SANITIZE)
  target_compile_options(tercet_options INTERFACE -fsanitize=${TERCET_SANITIZE}
    -fno-omit-frame-pointer -fno-sanitize-recover=all)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Instrumented standard headers, <regex> among them, look uninitialized to GCC (its bug 105562).
    target_compile_options(tercet_options INTERFACE -Wno-maybe-uninitialized)
  endif()
  target_link_options(tercet_options INTERFACE -fsanitize=${TERCET_SANITIZE})
endif()
