# SPDX-License-Identifier: Apache-2.0
# Finds libtorch and sets TORCH_LIBRARIES: Debian's package, or a Python package or archive of
# PyTorch, which holds everything in one folder ("root"). For the latter its TorchConfig.cmake is not
# used: with CUDA it wants a whole CUDA toolkit and links the toolkit's libraries, which may be older
# than those that the package brings, and where Debian's libtorch is installed, too, its libc10.
include_guard(GLOBAL)
find_package(OpenMP REQUIRED)

set(TERCET_TORCH_PYTHON "" CACHE STRING
  "A Python whose torch package to build against, e.g. .venv/bin/python (empty: search as usual)")

# The root of the torch package that a Python finds, without importing it: that takes seconds.
function(tercet_python_torch result)
  execute_process(
    COMMAND ${TERCET_TORCH_PYTHON} -c
      "import importlib.util as u, os; print(os.path.dirname(u.find_spec('torch').origin))"
    OUTPUT_VARIABLE root OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "'${TERCET_TORCH_PYTHON}' has no package torch: run "
      "'${TERCET_TORCH_PYTHON} -m pip install torch' or name another by -DTERCET_TORCH_PYTHON=")
  endif()
  set(${result} ${root} PARENT_SCOPE)
endfunction()

# The root that Torch_DIR, Torch_ROOT or CMAKE_PREFIX_PATH lead to; empty when they do not.
function(tercet_named_torch result)
  foreach(folder IN LISTS Torch_DIR Torch_ROOT CMAKE_PREFIX_PATH)
    foreach(up "../../.." "../.." ".")
      get_filename_component(root "${folder}/${up}" ABSOLUTE)
      if(EXISTS ${root}/share/cmake/Torch/TorchConfig.cmake AND EXISTS ${root}/lib/libtorch.so)
        set(${result} ${root} PARENT_SCOPE)
        return()
      endif()
    endforeach()
  endforeach()
  set(${result} "" PARENT_SCOPE)
endfunction()

# The target tercet_torch: libtorch under `root`, with its GPU half when it has one.
function(tercet_add_torch root)
  file(STRINGS ${root}/share/cmake/Torch/TorchConfig.cmake old REGEX "_GLIBCXX_USE_CXX11_ABI=0")
  if(old)
    message(FATAL_ERROR "the libtorch in ${root} is built for the old ABI of GCC's standard "
      "library, which no other library here uses; take 2.6 or a later version")
  endif()
  add_library(tercet_torch INTERFACE IMPORTED GLOBAL)
  target_include_directories(tercet_torch INTERFACE
    ${root}/include ${root}/include/torch/csrc/api/include)
  target_compile_definitions(tercet_torch INTERFACE USE_DISTRIBUTED USE_C10D_GLOO)
  target_link_libraries(tercet_torch INTERFACE
    ${root}/lib/libtorch.so ${root}/lib/libtorch_cpu.so ${root}/lib/libc10.so)
  if(EXISTS ${root}/lib/libtorch_cuda.so)
    # Nothing here calls it; it must be loaded all the same.
    target_link_libraries(tercet_torch INTERFACE
      -Wl,--push-state,--no-as-needed,${root}/lib/libtorch_cuda.so,--pop-state)
    target_compile_definitions(tercet_torch INTERFACE USE_C10D_NCCL)
  endif()
  if(EXISTS ${root}/include/fmt)
    # Found before Debian's and of another version; libtorch keeps the compiled part to itself.
    target_compile_definitions(tercet_torch INTERFACE FMT_HEADER_ONLY)
  endif()
  # One OpenMP for both, so that its number of threads is set for both: the one that libtorch brings.
  file(GLOB openmp ${root}/lib/libgomp*.so* ${root}/../torch.libs/libgomp*.so*)
  if(openmp)
    target_compile_options(tercet_torch INTERFACE ${OpenMP_CXX_FLAGS})
    target_link_libraries(tercet_torch INTERFACE ${openmp})
  else()
    target_link_libraries(tercet_torch INTERFACE OpenMP::OpenMP_CXX)
  endif()
endfunction()

if(TERCET_TORCH_PYTHON)
  tercet_python_torch(torch_root)
else()
  tercet_named_torch(torch_root)
endif()
if(torch_root)
  tercet_add_torch(${torch_root})
  include(${torch_root}/share/cmake/Torch/TorchConfigVersion.cmake)
  set(Torch_VERSION ${PACKAGE_VERSION})
  set(TERCET_TORCH_HINT ${torch_root}/share/cmake/Torch)
  # As TorchConfig.cmake says them; the headers of CUDA and NCCL lie beside a Python package.
  set(TORCH_INSTALL_PREFIX ${torch_root})
  set(TORCH_INCLUDE_DIRS ${torch_root}/include ${torch_root}/include/torch/csrc/api/include)
  file(GLOB CUDA_INCLUDE_DIRS ${torch_root}/../nvidia/*/include)
else()
  find_package(Torch REQUIRED)
  add_library(tercet_torch INTERFACE IMPORTED GLOBAL)
  target_link_libraries(tercet_torch INTERFACE ${TORCH_LIBRARIES} OpenMP::OpenMP_CXX)
  set(TERCET_TORCH_HINT ${Torch_DIR})
endif()
set(TORCH_LIBRARIES tercet_torch)
message(STATUS "libtorch ${Torch_VERSION} in ${TERCET_TORCH_HINT}")
