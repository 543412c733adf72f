/* attend_reader.h - what attention's products need to know of a kv type. Included once per level,
 * after vec_<level>_float.h. */
#ifndef RZ_KERNELS_ATTEND_READER_H
#define RZ_KERNELS_ATTEND_READER_H

#include "kernels/levels.h"

/* LANES consecutive elements of a kv type as floats. */
typedef vflt load_kv_fn(const void *p);

struct kv_reader {
    uint32_t elem; /* bytes */
    load_kv_fn *load;
    bool scaled; /* RZ_KV_Q8_0 */
};

RZ_INLINE vflt load_kv_f32(const void *p)
{
    return vf_load((const float *)p);
}

RZ_INLINE vflt load_kv_f16(const void *p)
{
    return vf_load_f16(p);
}

static const struct kv_reader reader_f32 = {4, load_kv_f32, false};
static const struct kv_reader reader_f16 = {2, load_kv_f16, false};

#endif
