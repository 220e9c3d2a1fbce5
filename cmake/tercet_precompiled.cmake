# tercet_use_precompiled(TARGET KIND): lets TARGET take the headers that nearly every file includes from one precompiled
# header. KIND is library, test, asyncio for tests that include most of tercet/asyncio, or example. A file must compile
# without it all the same: presets debug, debug-clang and release-clang build so.

option(TERCET_PRECOMPILE "Precompile the headers that nearly every file includes" OFF)

set(tercet_precompiled_of_library <algorithm> <array> <atomic> <chrono> <concepts> <coroutine> <functional> <memory> <mutex>
    <optional> <ranges> <span> <stdexcept> <stop_token> <string> <string_view> <system_error> <unordered_map> <utility>
    <variant> <vector>)
set(tercet_precompiled_of_test ${tercet_precompiled_of_library} <condition_variable> <deque> <filesystem> <future> <latch>
    <map> <random> <set> <sstream> <thread> <gmock/gmock.h> <gtest/gtest.h>)
set(tercet_precompiled_of_asyncio ${tercet_precompiled_of_test} <tercet/asyncio.hpp>)
set(tercet_precompiled_of_example ${tercet_precompiled_of_library} <tercet/asyncio.hpp>)
list(APPEND tercet_precompiled_of_library <fmt/format.h>)

# The flags of both must be alike, or the compiler leaves the precompiled header aside; so the holder is a program too
# where the target is one.
function(tercet_use_precompiled target kind)
    if(NOT TERCET_PRECOMPILE)
        return()
    endif()
    set(holder tercet_precompiled_of_${kind})
    if(NOT TARGET ${holder})
        file(WRITE "${PROJECT_BINARY_DIR}/cmake/${holder}.cpp" "int main() { return 0; }\n")
        if(kind STREQUAL "library")
            add_library(${holder} STATIC "${PROJECT_BINARY_DIR}/cmake/${holder}.cpp")
            target_link_libraries(${holder} PRIVATE fmt::fmt)
        else()
            add_executable(${holder} "${PROJECT_BINARY_DIR}/cmake/${holder}.cpp")
            target_compile_options(${holder} PRIVATE ${tercet_test_optimisation})
        endif()
        if(kind MATCHES "test|asyncio")
            target_link_libraries(${holder} PRIVATE GTest::gmock GTest::gtest)
        endif()
        if(kind MATCHES "asyncio|example")
            target_link_libraries(${holder} PRIVATE tercet::asyncio)
        endif()
        set_target_properties(${holder} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/cmake")
        target_link_libraries(${holder} PRIVATE tercet_warnings)
        target_precompile_headers(${holder} PRIVATE ${tercet_precompiled_of_${kind}})
    endif()
    target_precompile_headers(${target} REUSE_FROM ${holder})
endfunction()
