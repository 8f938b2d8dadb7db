# SPDX-License-Identifier: Apache-2.0
include_guard(GLOBAL)

# tercet_module(NAME SOURCES a.cc ... [DEPS other modules or imported targets])
# One folder of src/ as one static library `tercet_NAME`. DEPS are the only modules whose headers
# it may include; scripts/check_layers.py holds the same table against the sources.
function(tercet_module name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(tercet_${name} STATIC ${ARG_SOURCES})
  add_library(tercet::${name} ALIAS tercet_${name})
  target_include_directories(tercet_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(tercet_${name} PUBLIC ${ARG_DEPS} PRIVATE tercet_options
    ${ARG_PRIVATE_DEPS})
endfunction()

# tercet_test(NAME SOURCES a_test.cc ... [DEPS ...] [LABELS ...] [TIMEOUT s] [ENVIRONMENT A=b ...])
# One GoogleTest program per module under test; run as one ctest entry per program.
function(tercet_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS;LABELS;ENVIRONMENT" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE tercet_options ${ARG_DEPS} GTest::gtest GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE
    TERCET_SOURCE_DIR="${PROJECT_SOURCE_DIR}" TERCET_BINARY_DIR="${PROJECT_BINARY_DIR}")
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}"
    ENVIRONMENT "${ARG_ENVIRONMENT}")
endfunction()
