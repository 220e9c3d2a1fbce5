# find_package(tercet CONFIG REQUIRED) for projects outside the tree.
include(CMakePackageConfigHelpers)

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/tercet" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT tercet-targets NAMESPACE tercet:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tercet)
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/tercet-config.cmake.in" "${PROJECT_BINARY_DIR}/tercet-config.cmake"
    INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tercet)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/tercet-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/tercet-config.cmake" "${PROJECT_BINARY_DIR}/tercet-config-version.cmake"
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tercet)
