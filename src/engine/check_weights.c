/* check_weights.c - looks at every block of every tensor for values that no training makes. A
 * block that is wrong but of ordinary size cannot be told from a right one: docs/check.md says
 * which corruptions that leaves. */
#include "base/fail.h"
#include "engine/check.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Trained matrices have blocks of up to some tens of times the typical size. A flipped exponent bit
 * of a float16 scale multiplies it by 16, 256 or 65536: this tells the latter two. */
static const double most_of_typical = 200;
/* Norm weights and biases go to some hundreds. */
static const double most_of_vector = 1e5;

struct owner {
    const char *part; /* of the tensor's name */
    enum check_stage stage;
};

/* The first row that fits decides. */
static const struct owner owners[] = {
    {"attn_q_norm", CHECK_QKV}, {"attn_k_norm", CHECK_QKV},
    {"norm", CHECK_NORM},       {"token_embd", CHECK_EMBEDDING},
    {"rope_freqs", CHECK_ROPE}, {"attn_output", CHECK_ATTENTION},
    {"attn_", CHECK_QKV},       {"ffn_", CHECK_FFN},
    {"output", CHECK_HEAD},
};

static enum check_stage stage_of(const char *name)
{
    for (size_t i = 0; i < RZ_ARRAY_LEN(owners); i++)
        if (strstr(name, owners[i].part))
            return owners[i].stage;
    return CHECK_EMBEDDING;
}

static void judge(struct check_finding *f, const rz_tensor *t, const struct rz_ref_scan *s)
{
    if (s->n_bad > 0)
        rz_check_fault(f, "%s: block %" PRIu64 " is not finite (%" PRIu64 " such blocks)", t->name,
                       s->block, s->n_bad);
    else if (t->n_dims > 1 && s->typical > 0 && s->largest > most_of_typical * s->typical)
        rz_check_fault(f, "%s: block %" PRIu64 " reaches %.3g, %.0f times the typical block's %.3g",
                       t->name, s->block, s->largest, s->largest / s->typical, s->typical);
    else if (t->n_dims == 1 && s->largest > most_of_vector)
        rz_check_fault(f, "%s: block %" PRIu64 " reaches %.3g", t->name, s->block, s->largest);
}

rz_status rz_check_weights(struct check *c, rz_error *err)
{
    const rz_file *file = c->model->file;
    for (size_t i = 0; i < rz_file_n_tensors(file); i++) {
        const rz_tensor *t = rz_file_tensor_at(file, i);
        struct rz_ref_scan scan;
        RZ_TRY(rz_ref_scan_tensor(&c->ref, t, &scan, err));
        enum check_stage stage = stage_of(t->name);
        judge(&c->found[stage], t, &scan);
        if (stage == CHECK_EMBEDDING && c->info->tied_head)
            judge(&c->found[CHECK_HEAD], t, &scan);
    }
    return RZ_OK;
}
