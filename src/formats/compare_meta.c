/* compare_meta.c - is the metadata that inference needs the same in two files?
 *
 * Keys that one container writes out and another implies are compared by what they mean: a missing
 * value is its default. */
#include "base/fail.h"
#include "formats/convert.h"
#include "formats/file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    SHOWN = 60
};

struct pair {
    const rz_file *a, *b;
    rz_error *err;
};

static rz_status differs(const struct pair *p, const char *key, const char *how)
{
    return rz_fail(p->err, RZ_EINVALID, "%s: %s %s (compared with %s)", rz_file_path(p->b), key,
                   how, rz_file_path(p->a));
}

static bool is_number(const rz_meta *m)
{
    return m->type != RZ_META_STRING && m->type != RZ_META_ARRAY;
}

static bool same_value(const rz_meta *a, const rz_meta *b, uint64_t i)
{
    if (a->elem_type == RZ_META_STRING || b->elem_type == RZ_META_STRING) {
        if (a->elem_type != b->elem_type)
            return false;
        rz_slice x = rz_meta_string(a, i), y = rz_meta_string(b, i);
        return x.len == y.len && (x.len == 0 || memcmp(x.data, y.data, x.len) == 0);
    }
    bool floats = a->elem_type == RZ_META_F32 || a->elem_type == RZ_META_F64 ||
                  b->elem_type == RZ_META_F32 || b->elem_type == RZ_META_F64;
    if (!floats)
        return rz_meta_int(a, i) == rz_meta_int(b, i);
    double x = rz_meta_float(a, i), y = rz_meta_float(b, i);
    return fabs(x - y) <= 1e-6 * fabs(x);
}

/* A key that both must have alike; of arrays, every element. */
static rz_status same_key(const struct pair *p, const char *key)
{
    const rz_meta *a = rz_file_meta(p->a, key), *b = rz_file_meta(p->b, key);
    char how[SHOWN];
    if (!a && !b)
        return RZ_OK;
    if (!a || !b)
        return differs(p, key, b ? "is new" : "is lost");
    if (a->count != b->count || (a->type == RZ_META_ARRAY) != (b->type == RZ_META_ARRAY))
        return differs(p, key, "has another number of elements");
    if (rz_meta_elem_bytes(a->elem_type) == 0 && a->elem_type != RZ_META_STRING)
        return RZ_OK;
    for (uint64_t i = 0; i < a->count; i++) {
        if (same_value(a, b, i))
            continue;
        snprintf(how, sizeof how, "differs at element %llu", (unsigned long long)i);
        return differs(p, key, a->type == RZ_META_ARRAY ? how : "differs");
    }
    return RZ_OK;
}

/* A number that is fallback where it is not said. */
static rz_status same_number(const struct pair *p, const char *suffix, double fallback)
{
    char key[RZ_ARCH_KEY_MAX], other[RZ_ARCH_KEY_MAX];
    const rz_meta *a = rz_file_meta(p->a, rz_arch_key(p->a, suffix, key));
    const rz_meta *b = rz_file_meta(p->b, rz_arch_key(p->b, suffix, other));
    if ((a && !is_number(a)) || (b && !is_number(b)))
        return same_key(p, key);
    double x = a ? rz_meta_float(a, 0) : fallback, y = b ? rz_meta_float(b, 0) : fallback;
    if (!(fabs(x - y) <= 1e-6 * fabs(x)))
        return differs(p, key, b ? "differs" : "is lost");
    return RZ_OK;
}

static double number_of(const rz_file *f, const char *suffix, double fallback)
{
    char key[RZ_ARCH_KEY_MAX];
    const rz_meta *m = rz_file_meta(f, rz_arch_key(f, suffix, key));
    return m && is_number(m) ? rz_meta_float(m, 0) : fallback;
}

static rz_status same_sizes(const struct pair *p)
{
    static const char *const exact[] = {
        "context_length",
        "embedding_length",
        "block_count",
        "feed_forward_length",
        "attention.head_count",
        "attention.layer_norm_rms_epsilon",
        "expert_count",
        "expert_used_count",
        "expert_feed_forward_length",
        "expert_shared_feed_forward_length",
    };
    double heads = number_of(p->a, "attention.head_count", 1);
    double dim = floor(number_of(p->a, "embedding_length", 0) / heads);
    double n_ctx = number_of(p->a, "context_length", 0);
    RZ_TRY(same_key(p, "general.architecture"));
    for (size_t i = 0; i < RZ_ARRAY_LEN(exact); i++)
        RZ_TRY(same_number(p, exact[i], 0));
    RZ_TRY(same_number(p, "attention.head_count_kv", heads));
    RZ_TRY(same_number(p, "attention.key_length", dim));
    RZ_TRY(same_number(p, "attention.value_length", dim));
    RZ_TRY(same_number(p, "attention.sliding_window", 0));
    RZ_TRY(same_number(p, "rope.freq_base", 10000));
    RZ_TRY(same_number(p, "rope.dimension_count", number_of(p->a, "attention.key_length", dim)));
    RZ_TRY(same_number(p, "rope.scaling.factor", 1));
    RZ_TRY(same_number(p, "rope.scaling.original_context_length", n_ctx));
    RZ_TRY(same_number(p, "rope.scaling.attn_factor", 1));
    RZ_TRY(same_number(p, "rope.scaling.yarn_beta_fast", 32));
    return same_number(p, "rope.scaling.yarn_beta_slow", 1);
}

/* The text under key, or fallback. */
static rz_slice text_of(const rz_file *f, const char *key, const char *fallback)
{
    const rz_meta *m = rz_file_meta(f, key);
    if (!m || m->type != RZ_META_STRING)
        return (rz_slice){.data = fallback, .len = strlen(fallback)};
    return rz_meta_string(m, 0);
}

static rz_status same_rope_type(const struct pair *p)
{
    char key[RZ_ARCH_KEY_MAX];
    rz_arch_key(p->a, "rope.scaling.type", key);
    rz_slice a = text_of(p->a, key, "none"), b = text_of(p->b, key, "none");
    if (a.len != b.len || memcmp(a.data, b.data, a.len) != 0)
        return differs(p, key, "differs");
    return RZ_OK;
}

static bool same_flag(const rz_file *a, const rz_file *b, const char *key)
{
    bool x = false, y = false, found;
    return !rz_file_get_bool(a, key, &x, &found, NULL) &&
           !rz_file_get_bool(b, key, &y, &found, NULL) && x == y;
}

static rz_status same_tokenizer(const struct pair *p)
{
    static const char *const keys[] = {
        "tokenizer.ggml.model",
        "tokenizer.ggml.pre",
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.token_type",
        "tokenizer.ggml.merges",
        "tokenizer.ggml.scores",
        "tokenizer.ggml.bos_token_id",
        "tokenizer.ggml.eos_token_id",
        "tokenizer.ggml.eot_token_id",
        "tokenizer.ggml.eom_token_id",
        "tokenizer.ggml.padding_token_id",
        "tokenizer.chat_template",
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(keys); i++)
        RZ_TRY(same_key(p, keys[i]));
    if (!same_flag(p->a, p->b, "tokenizer.ggml.add_bos_token"))
        return differs(p, "tokenizer.ggml.add_bos_token", "differs");
    if (!same_flag(p->a, p->b, "tokenizer.ggml.add_eos_token"))
        return differs(p, "tokenizer.ggml.add_eos_token", "differs");
    return RZ_OK;
}

static rz_status same_sampling(const struct pair *p)
{
    static const char *const keys[] = {
        "general.sampling.temp",  "general.sampling.top_k",          "general.sampling.top_p",
        "general.sampling.min_p", "general.sampling.penalty_repeat",
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(keys); i++)
        RZ_TRY(same_key(p, keys[i]));
    return RZ_OK;
}

rz_status rz_compare_metadata(const rz_file *a, const rz_file *b, rz_error *err)
{
    struct pair p = {.a = a, .b = b, .err = err};
    RZ_TRY(same_sizes(&p));
    RZ_TRY(same_rope_type(&p));
    RZ_TRY(same_tokenizer(&p));
    return same_sampling(&p);
}
