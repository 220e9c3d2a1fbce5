# What every target of the project is compiled with.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release)
endif()

if(PROJECT_IS_TOP_LEVEL)
    find_program(TERCET_CCACHE ccache)
    if(TERCET_CCACHE)
        # Without the first, ccache takes no file that has a precompiled header; with the second, it runs no preprocessor first.
        set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_DEPEND=1 "${TERCET_CCACHE}")
    endif()
endif()

# g++ makes no tail call at -O0 nor under a sanitizer (GCC PR 94794), so coroutines that hand over to each other would
# grow the stack. The choice is one of the build, not of a file: objects that disagree would break the one definition rule.
# -DTERCET_SYMMETRIC_TRANSFER=ON or OFF overrules what is chosen here.
if(NOT DEFINED TERCET_SYMMETRIC_TRANSFER)
    set(optimised_build_types Release RelWithDebInfo MinSizeRel)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND (TERCET_SANITIZE OR NOT CMAKE_BUILD_TYPE IN_LIST optimised_build_types))
        set(TERCET_SYMMETRIC_TRANSFER OFF)
    else()
        set(TERCET_SYMMETRIC_TRANSFER ON)
    endif()
endif()

# Locks that remember their owner are larger, so this is a choice of the build too: on where people look for mistakes.
# -DTERCET_LOCK_DIAGNOSTICS=ON or OFF overrules what is chosen here.
if(NOT DEFINED TERCET_LOCK_DIAGNOSTICS)
    if(TERCET_SANITIZE OR CMAKE_BUILD_TYPE STREQUAL "Debug")
        set(TERCET_LOCK_DIAGNOSTICS ON)
    else()
        set(TERCET_LOCK_DIAGNOSTICS OFF)
    endif()
endif()

add_library(tercet_warnings INTERFACE)
target_compile_options(tercet_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
option(TERCET_WERROR "Warnings are errors" ${PROJECT_IS_TOP_LEVEL})
if(TERCET_WERROR)
    target_compile_options(tercet_warnings INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # g++ 12 takes the address of TSan's own fences for a mistake of ours, and sees null pointers inside libstdc++ at -O2
    # with sanitizers on (GCC PR 105562, PR 106757).
    if(TERCET_SANITIZE)
        target_compile_options(tercet_warnings INTERFACE -Wno-tsan -Wno-maybe-uninitialized -Wno-nonnull)
    endif()
endif()

# What is tested is optimised as it is shipped; tests and examples need not be, and most of the building is theirs. With
# AddressSanitizer -O0 halves it again; ThreadSanitizer, which gains less, gives up on stacks of more than 65,535 frames.
if(TERCET_SANITIZE MATCHES "address")
    set(tercet_test_optimisation -O0)
else()
    set(tercet_test_optimisation "$<$<CONFIG:Release>:-O1>")
endif()

if(TERCET_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(TERCET_SANITIZE)
    add_compile_options(-fsanitize=${TERCET_SANITIZE} -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${TERCET_SANITIZE})
    if(TERCET_SANITIZE MATCHES "undefined")
        add_compile_options(-fno-sanitize-recover=undefined)
    endif()
endif()
