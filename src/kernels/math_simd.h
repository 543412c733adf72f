/* math_simd.h - the exponential over vectors.
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

#endif
