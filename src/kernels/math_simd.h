/* math_simd.h - exponentials over vectors.
 * Included once per level, after vec_<level>_float.h. */
#ifndef RZ_KERNELS_MATH_SIMD_H
#define RZ_KERNELS_MATH_SIMD_H

/* e^x, within 1.0 ulp where the result is a normal number (0.994 measured, every 37th float of the
 * range), 0 below -104, infinity above 88.72; NaN stays NaN.
 * x = n ln 2 + r with |r| <= ln 2 / 2, ln 2 in two parts; the polynomial in r is Cephes' expf's;
 * 2^n is applied as two factors, so that neither overflows before the result does. */
RZ_INLINE vflt vf_exp(vflt x)
{
    x = vf_min(vf_set1(89.0f), vf_max(vf_set1(-105.0f), x)); /* this order keeps NaN */
    vint n = vf_to_int(vf_mul(x, vf_set1(1.44269504f)));
    vflt nf = vf_from_int(n);
    vflt r = vf_fnma(nf, vf_set1(0.693359375f), x);
    r = vf_fnma(nf, vf_set1(-2.12194440e-4f), r);
    vflt p = vf_set1(1.9875691500e-4f);
    p = vf_fma(p, r, vf_set1(1.3981999507e-3f));
    p = vf_fma(p, r, vf_set1(8.3334519073e-3f));
    p = vf_fma(p, r, vf_set1(4.1665795894e-2f));
    p = vf_fma(p, r, vf_set1(1.6666665459e-1f));
    p = vf_fma(p, r, vf_set1(5.0000001201e-1f));
    p = vf_add(vf_fma(p, vf_mul(r, r), r), vf_set1(1.0f));
    vint half = vi_sra(n, 1), rest = vi_sub(n, half);
    p = vf_mul(p, vf_cast(vi_sll(vi_add(half, vi_set1(127)), 23)));
    return vf_mul(p, vf_cast(vi_sll(vi_add(rest, vi_set1(127)), 23)));
}

/* 2^r of |r| <= 1/2, within 2.9 2^-24 relative, exactly 1 of 0: of the polynomials of degree 5 with
 * this value at 0 the one whose largest relative error is least, 0.9e-7. */
RZ_INLINE vflt vf_exp2_part(vflt r)
{
    vflt p = vf_set1(1.3264727e-3f);
    p = vf_fma(p, r, vf_set1(9.6715130e-3f));
    p = vf_fma(p, r, vf_set1(5.5507336e-2f));
    p = vf_fma(p, r, vf_set1(2.4022242e-1f));
    p = vf_fma(p, r, vf_set1(6.9314700e-1f));
    return vf_fma(p, r, vf_set1(1.0f));
}

/* 2^x of x <= 0, within 2.9 2^-24 relative; 2^-126 of all below -126; NaN stays NaN. x = n + r: n
 * comes from a sum whose last bit is worth 1, where it is 2^n's exponent too. */
RZ_INLINE vflt vf_exp2_down(vflt x)
{
    const vflt shift = vf_set1(0x1.8p23f + 127);
    x = vf_max(vf_set1(-126.0f), x); /* this order keeps NaN */
    const vflt n = vf_add(x, shift);
    const vflt r = vf_sub(x, vf_sub(n, shift));
    return vf_mul(vf_exp2_part(r), vf_cast(vi_sll(vf_bits(n), 23)));
}

#endif
