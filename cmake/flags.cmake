# Compiler flags of everything that is ours, as the interface target rz_flags, plus what has to hold
# for the whole program (sanitizers, coverage).
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)

# -g1 and frame pointers: enough for a profiler, at no measurable cost.
set(CMAKE_C_FLAGS_RELEASE "-O2 -g1 -fno-omit-frame-pointer")
set(CMAKE_C_FLAGS_DEBUG "-O0 -g3")

add_library(rz_flags INTERFACE)
target_compile_definitions(rz_flags INTERFACE _GNU_SOURCE $<$<BOOL:${RZ_DEBUG}>:RZ_DEBUG>)
target_compile_options(rz_flags INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef
    $<$<BOOL:${RZ_WERROR}>:-Werror>
    # gcc does not see that a function which fails has a result other than RZ_OK, and warns of paths
    # that do not exist; clang-tidy's analyzer looks for real ones.
    $<$<C_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
    # The same bits everywhere: a multiply-add is fused only where an intrinsic says so.
    -ffp-contract=off)

if(RZ_SANITIZE)
    add_compile_options(-fsanitize=${RZ_SANITIZE} -fno-sanitize-recover=all -O1 -g
                        -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${RZ_SANITIZE})
endif()

if(RZ_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "RZ_FUZZ needs clang: use the preset fuzz")
    endif()
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()

if(RZ_COVERAGE)
    add_compile_options(--coverage -fprofile-update=atomic)
    add_link_options(--coverage)
endif()
