# SPDX-License-Identifier: Apache-2.0
# cmake --install BUILD [--prefix DIR] [--component programs|bit_linear|documentation]
include_guard(GLOBAL)
include(CMakePackageConfigHelpers)

install(TARGETS tercet RUNTIME COMPONENT programs)
install(FILES models/novel-b158.gguf models/novel-f16.gguf models/heldout.txt models/README.md
  DESTINATION ${CMAKE_INSTALL_DATADIR}/tercet/models COMPONENT programs)
install(FILES LICENSE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR}
  COMPONENT documentation)
install(DIRECTORY docs examples DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT documentation)

if(TERCET_LEARN)
  install(TARGETS tercet-learn RUNTIME COMPONENT programs)
  install(TARGETS tercet_bit_linear EXPORT TercetTargets LIBRARY COMPONENT bit_linear)
  install(FILES src/learn/bit_linear/bit_linear.h
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tercet COMPONENT bit_linear)
  set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Tercet)
  install(EXPORT TercetTargets NAMESPACE Tercet:: DESTINATION ${package_dir} COMPONENT bit_linear)
  configure_package_config_file(cmake/TercetConfig.cmake.in TercetConfig.cmake
    INSTALL_DESTINATION ${package_dir})
  write_basic_package_version_file(TercetConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/TercetConfig.cmake
    ${PROJECT_BINARY_DIR}/TercetConfigVersion.cmake
    DESTINATION ${package_dir} COMPONENT bit_linear)
endif()
