# SPDX-License-Identifier: Apache-2.0
# Finds libtorch: Debian's, one that CMAKE_PREFIX_PATH or Torch_DIR names, or a Python wheel's.
include_guard(GLOBAL)

set(TERCET_TORCH_PYTHON "" CACHE STRING
  "A Python whose torch package to build against, e.g. .venv/bin/python (empty: search as usual)")

set(search_path ${CMAKE_PREFIX_PATH})
if(TERCET_TORCH_PYTHON)
  # Where it lies, without importing it: that takes seconds.
  execute_process(
    COMMAND ${TERCET_TORCH_PYTHON} -c
      "import importlib.util as u, os; print(os.path.dirname(u.find_spec('torch').origin))"
    OUTPUT_VARIABLE wheel OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "'${TERCET_TORCH_PYTHON}' has no package torch: run "
      "'${TERCET_TORCH_PYTHON} -m pip install torch', or name another by TERCET_TORCH_PYTHON")
  endif()
  list(PREPEND CMAKE_PREFIX_PATH ${wheel}/share/cmake)
endif()

# TorchConfig.cmake looks for its libraries in CMake's usual places before its own, so that a wheel
# would be linked with libc10 of Debian's libtorch. The folder that holds both comes first, then.
foreach(folder IN LISTS CMAKE_PREFIX_PATH)
  if(EXISTS ${folder}/Torch/TorchConfig.cmake)
    list(APPEND torch_roots ${folder}/../..)
  endif()
endforeach()
if(Torch_DIR)
  list(APPEND torch_roots ${Torch_DIR}/../../..)
endif()
list(PREPEND CMAKE_PREFIX_PATH ${torch_roots})

# No file here is compiled by nvcc, but the TorchConfig.cmake of a libtorch with CUDA tries it: with a
# standard that CMake 3.25 knows, and for a fixed GPU instead of the one that this machine may lack.
if(NOT DEFINED CMAKE_CUDA_STANDARD)
  set(CMAKE_CUDA_STANDARD 17)
endif()
if(NOT DEFINED TORCH_CUDA_ARCH_LIST)
  set(TORCH_CUDA_ARCH_LIST 8.0)
endif()
find_package(Torch REQUIRED)
set(CMAKE_PREFIX_PATH ${search_path})
message(STATUS "libtorch ${Torch_VERSION}: ${TORCH_LIBRARY}")
