/* mul_kinds_simd.h - the instances of mul_tokens: five kinds of panel, four numbers of rows.
 * Included once per level, after dot_<level>.h. */
#ifndef RZ_KERNELS_MUL_KINDS_SIMD_H
#define RZ_KERNELS_MUL_KINDS_SIMD_H

#include "kernels/mul_simd.h"

static void mul_sym32_max(const struct mul_args *a)
{
    mul_tokens(a, DOT_TOKENS, kind_sym32());
}

static void mul_sym32_4(const struct mul_args *a)
{
    mul_tokens(a, 4, kind_sym32());
}

static void mul_sym32_2(const struct mul_args *a)
{
    mul_tokens(a, 2, kind_sym32());
}

static void mul_sym32_1(const struct mul_args *a)
{
    mul_tokens(a, 1, kind_sym32());
}

static mul_fn *const mul_sym32[] = {mul_sym32_max, mul_sym32_4, mul_sym32_2, mul_sym32_1};

static void mul_byte32_max(const struct mul_args *a)
{
    mul_tokens(a, DOT_TOKENS, kind_byte32());
}

static void mul_byte32_4(const struct mul_args *a)
{
    mul_tokens(a, 4, kind_byte32());
}

static void mul_byte32_2(const struct mul_args *a)
{
    mul_tokens(a, 2, kind_byte32());
}

static void mul_byte32_1(const struct mul_args *a)
{
    mul_tokens(a, 1, kind_byte32());
}

static mul_fn *const mul_byte32[] = {mul_byte32_max, mul_byte32_4, mul_byte32_2, mul_byte32_1};

static void mul_min32_max(const struct mul_args *a)
{
    mul_tokens(a, DOT_TOKENS, kind_min32());
}

static void mul_min32_4(const struct mul_args *a)
{
    mul_tokens(a, 4, kind_min32());
}

static void mul_min32_2(const struct mul_args *a)
{
    mul_tokens(a, 2, kind_min32());
}

static void mul_min32_1(const struct mul_args *a)
{
    mul_tokens(a, 1, kind_min32());
}

static mul_fn *const mul_min32[] = {mul_min32_max, mul_min32_4, mul_min32_2, mul_min32_1};

static void mul_sym16_max(const struct mul_args *a)
{
    mul_tokens(a, DOT_TOKENS, kind_sym16());
}

static void mul_sym16_4(const struct mul_args *a)
{
    mul_tokens(a, 4, kind_sym16());
}

static void mul_sym16_2(const struct mul_args *a)
{
    mul_tokens(a, 2, kind_sym16());
}

static void mul_sym16_1(const struct mul_args *a)
{
    mul_tokens(a, 1, kind_sym16());
}

static mul_fn *const mul_sym16[] = {mul_sym16_max, mul_sym16_4, mul_sym16_2, mul_sym16_1};

static void mul_min16_max(const struct mul_args *a)
{
    mul_tokens(a, DOT_TOKENS, kind_min16());
}

static void mul_min16_4(const struct mul_args *a)
{
    mul_tokens(a, 4, kind_min16());
}

static void mul_min16_2(const struct mul_args *a)
{
    mul_tokens(a, 2, kind_min16());
}

static void mul_min16_1(const struct mul_args *a)
{
    mul_tokens(a, 1, kind_min16());
}

static mul_fn *const mul_min16[] = {mul_min16_max, mul_min16_4, mul_min16_2, mul_min16_1};

#endif
