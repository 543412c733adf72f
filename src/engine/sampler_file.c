/* sampler_file.c - the sampling options that a model's file recommends. The keys and the meaning of
 * their special values are llama.cpp's (gguf constants, general.sampling.*): a top_k of 0 or less
 * and a top_p of 1 or more are off, a penalty_last_n of -1 is the whole context. */
#include "base/fail.h"

#include <math.h>
#include <realizar/sampler.h>

static rz_status get_float(const rz_file *file, const char *key, float *value, bool *found,
                           rz_error *err)
{
    float v = 0;
    bool here = false;
    RZ_TRY(rz_file_get_f32(file, key, &v, &here, err));
    if (!here)
        return RZ_OK;
    if (!isfinite(v))
        return rz_fail(err, RZ_EFORMAT, "%s: %s is not a finite number", rz_file_path(file), key);
    *value = v;
    *found = true;
    return RZ_OK;
}

/* Negative numbers become below_zero. */
static rz_status get_count(const rz_file *file, const char *key, uint32_t below_zero,
                           uint32_t *value, bool *found, rz_error *err)
{
    const rz_meta *meta = rz_file_meta(file, key);
    if (!meta)
        return RZ_OK;
    switch (meta->type) {
    case RZ_META_U8:
    case RZ_META_I8:
    case RZ_META_U16:
    case RZ_META_I16:
    case RZ_META_U32:
    case RZ_META_I32:
    case RZ_META_U64:
    case RZ_META_I64:
        break;
    default:
        return rz_fail(err, RZ_EFORMAT, "%s: %s is of type %s, expected an integer",
                       rz_file_path(file), key, rz_meta_type_name(meta->type));
    }
    int64_t v = rz_meta_int(meta, 0);
    *value = v < 0 ? below_zero : v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
    *found = true;
    return RZ_OK;
}

rz_status rz_sampler_options_from_file(rz_sampler_options *options, const rz_file *file,
                                       bool *found, rz_error *err)
{
    rz_sampler_options o = *options;
    bool any = false;
    RZ_TRY(get_float(file, "general.sampling.temp", &o.temperature, &any, err));
    RZ_TRY(get_count(file, "general.sampling.top_k", 0, &o.top_k, &any, err));
    RZ_TRY(get_float(file, "general.sampling.top_p", &o.top_p, &any, err));
    RZ_TRY(get_float(file, "general.sampling.min_p", &o.min_p, &any, err));
    RZ_TRY(get_float(file, "general.sampling.penalty_repeat", &o.repeat_penalty, &any, err));
    RZ_TRY(get_count(file, "general.sampling.penalty_last_n", UINT32_MAX, &o.repeat_last_n, &any,
                     err));
    o.temperature = fmaxf(o.temperature, 0);
    o.top_p = fminf(o.top_p, 1);
    o.min_p = fminf(fmaxf(o.min_p, 0), 1);
    if (!(o.top_p > 0))
        return rz_fail(err, RZ_EFORMAT, "%s: general.sampling.top_p is %g, expected above 0",
                       rz_file_path(file), (double)o.top_p);
    if (!(o.repeat_penalty > 0))
        return rz_fail(err, RZ_EFORMAT,
                       "%s: general.sampling.penalty_repeat is %g, expected above 0",
                       rz_file_path(file), (double)o.repeat_penalty);
    *options = o;
    if (found)
        *found = any;
    return RZ_OK;
}
