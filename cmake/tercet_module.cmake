# tercet_module(NAME SOURCES file... [DEPENDS target...] [PRIVATE_DEPENDS target...])
# One static library of the project, built, warned about, installed and exported as tercet::NAME.
function(tercet_module name)
    cmake_parse_arguments(PARSE_ARGV 1 module "" "" "SOURCES;DEPENDS;PRIVATE_DEPENDS")
    add_library(tercet_${name} STATIC ${module_SOURCES})
    add_library(tercet::${name} ALIAS tercet_${name})
    set_target_properties(tercet_${name} PROPERTIES EXPORT_NAME ${name})
    target_compile_features(tercet_${name} PUBLIC cxx_std_23)
    target_include_directories(tercet_${name}
        PUBLIC "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>"
        PRIVATE "${PROJECT_SOURCE_DIR}/src")
    target_link_libraries(tercet_${name}
        PUBLIC ${module_DEPENDS}
        PRIVATE ${module_PRIVATE_DEPENDS} "$<BUILD_INTERFACE:tercet_warnings>")
    tercet_use_precompiled(tercet_${name} library)
    install(TARGETS tercet_${name} EXPORT tercet-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
endfunction()

# tercet_test(NAME SOURCES file... DEPENDS target... [TIMEOUT seconds] [PRECOMPILED kind]): one test program; each of its
# tests is a test of CTest.
function(tercet_test name)
    cmake_parse_arguments(PARSE_ARGV 1 test "" "TIMEOUT;PRECOMPILED" "SOURCES;DEPENDS")
    if(NOT test_PRECOMPILED)
        set(test_PRECOMPILED test)
    endif()
    if(NOT test_TIMEOUT)
        set(test_TIMEOUT 60)
    endif()
    add_executable(${name} ${test_SOURCES})
    target_link_libraries(${name} PRIVATE ${test_DEPENDS} GTest::gmock GTest::gtest_main tercet_warnings)
    target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests" "${PROJECT_SOURCE_DIR}/src")
    target_compile_options(${name} PRIVATE ${tercet_test_optimisation})
    tercet_use_precompiled(${name} ${test_PRECOMPILED})
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT ${test_TIMEOUT})
endfunction()
