/* transpose_simd.h - rows of F32, F16 or BF16 numbers to panels of floats: [column][row].
 * Exact. Included once per level, after vec_<level>_float.h. */
#ifndef RZ_KERNELS_TRANSPOSE_SIMD_H
#define RZ_KERNELS_TRANSPOSE_SIMD_H

/* 16 bytes of each row to 4 or 8 columns of the panel. */
typedef void load_float_fn(const uint8_t *const row[LANES], size_t off, float *panel);

RZ_INLINE void load_f32(const uint8_t *const row[LANES], size_t off, float *panel)
{
    vint v[4];
    vi_load_rows(row, off, v);
    RZ_UNROLL
    for (int i = 0; i < 4; i++)
        vi_store(panel + i * LANES, v[i]);
}

RZ_INLINE void load_f16(const uint8_t *const row[LANES], size_t off, float *panel)
{
    vint v[4];
    vi_load_rows(row, off, v);
    RZ_UNROLL
    for (int i = 0; i < 4; i++) {
        vf_store(panel + 2 * i * LANES, vf_from_f16(v[i]));
        vf_store(panel + (2 * i + 1) * LANES, vf_from_f16(vi_srl(v[i], 16)));
    }
}

RZ_INLINE void load_bf16(const uint8_t *const row[LANES], size_t off, float *panel)
{
    vint v[4];
    vi_load_rows(row, off, v);
    RZ_UNROLL
    for (int i = 0; i < 4; i++) {
        vi_store(panel + 2 * i * LANES, vi_sll(v[i], 16));
        vi_store(panel + (2 * i + 1) * LANES, vi_and(v[i], vi_set1((int)0xFFFF0000u)));
    }
}

/* n_cols columns from byte off on; a last part of under 16 bytes goes through a copy, so that
 * nothing after the row is read. */
RZ_INLINE void pack_floats(const uint8_t *const row[LANES], size_t off, uint32_t n_cols,
                           size_t elem, float *panel, load_float_fn *load)
{
    const uint32_t step = (uint32_t)(16 / elem);
    uint32_t c = 0;
    for (; c + step <= n_cols; c += step)
        load(row, off + c * elem, panel + (size_t)c * LANES);
    if (c < n_cols) {
        uint8_t rest[LANES][16] = {{0}};
        const uint8_t *copy[LANES];
        for (int i = 0; i < LANES; i++) {
            memcpy(rest[i], row[i] + off + c * elem, (n_cols - c) * elem);
            copy[i] = rest[i];
        }
        load(copy, 0, panel + (size_t)c * LANES);
    }
}

#endif
