# Instruction-set flags follow a file's suffix; all other code is baseline x86-64, so that one
# binary runs everywhere and picks its kernels at run time. A new CPU level is a line here and its
# name in the pattern below.
set(rz_isa_avx2 -mavx2 -mfma -mf16c -mbmi2)
set(rz_isa_avx512 ${rz_isa_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni)
set(rz_isa_avx512bf16 ${rz_isa_avx512} -mavx512bf16)
set(rz_isa_amx ${rz_isa_avx512bf16} -mamx-tile -mamx-int8 -mamx-bf16)

# A ceiling for tests of a lower level on a CPU that has more: the flags of base/cpu.h.
set(rz_ceiling_scalar 0)
set(rz_ceiling_avx2 RZ_CPU_AVX2)
set(rz_ceiling_avx512 "(RZ_CPU_AVX2 | RZ_CPU_AVX512 | RZ_CPU_AVX512_BF16)")
if(RZ_CPU_CEILING)
    if(NOT DEFINED rz_ceiling_${RZ_CPU_CEILING})
        message(FATAL_ERROR "RZ_CPU_CEILING is scalar, avx2 or avx512, not ${RZ_CPU_CEILING}")
    endif()
    set_source_files_properties(src/base/cpu.c PROPERTIES
        COMPILE_DEFINITIONS "RZ_CPU_CEILING=${rz_ceiling_${RZ_CPU_CEILING}}")
endif()

# Inner loops are worth unrolling; the presets that are not optimized stay so.
set(rz_isa_release "$<$<CONFIG:Release>:-O3>" "$<$<CONFIG:Release>:-fomit-frame-pointer>")

# Without optimization the compiler's intrinsics are macros that convert -1 to a mask in our file.
set(rz_isa_warnings -Wno-sign-conversion)

function(rz_set_isa_flags)
    foreach(source ${ARGN})
        if(source MATCHES "_(avx2|avx512|avx512bf16|amx)\\.c$")
            set_source_files_properties(${source} PROPERTIES
                COMPILE_OPTIONS "${rz_isa_${CMAKE_MATCH_1}};${rz_isa_release};${rz_isa_warnings}")
        endif()
    endforeach()
endfunction()
