# SPDX-License-Identifier: Apache-2.0
# Run at every build: writes OUTPUT with the revision that is being built, only when it changed.
cmake_minimum_required(VERSION 3.25)
execute_process(
  COMMAND git -C ${SOURCE_DIR} describe --always --dirty --abbrev=10 --exclude=*
  OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  set(revision "")  # not a clone, or no git
endif()
file(CONFIGURE OUTPUT ${OUTPUT}
  CONTENT "#pragma once\n#define TERCET_REVISION \"@revision@\"\n" @ONLY)
