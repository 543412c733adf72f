/* reference.c - float64 stages of a decoder other than matrix products. Sources: RMSNorm, Zhang and
 * Sennrich 1910.07467; rotary embedding, Su et al. 2104.09864; its scaling, YaRN, Peng et al.
 * 2309.00071 section 3.4 with the authors' code for the ramp; grouped queries, Ainslie et al.
 * 2305.13245; sliding window, Mistral 2310.06825. */
#include "model/reference.h"

#include "base/fail.h"
#include "model/reference_math.h"
#include "quant/dtype.h"

#include <stdio.h>
#include <string.h>

rz_status rz_ref_mat_init(struct rz_ref_mat *m, uint32_t n_rows, uint32_t n_cols, bool with_var,
                          rz_error *err)
{
    size_t n = (size_t)n_rows * n_cols, n_all = with_var ? 2 * n : n;
    *m = (struct rz_ref_mat){.n_rows = n_rows, .n_cols = n_cols, .noisy_from = UINT32_MAX};
    m->v = calloc(n_all + 1, sizeof *m->v);
    if (!m->v)
        return rz_fail_nomem(err, n_all * sizeof *m->v, "the float64 reference");
    if (with_var)
        m->var = m->v + n;
    return RZ_OK;
}

void rz_ref_mat_fini(struct rz_ref_mat *m)
{
    free(m->v);
    *m = (struct rz_ref_mat){0};
}

const rz_tensor *rz_ref_tensor(const struct rz_ref *r, int layer, const char *suffix)
{
    char name[128];
    if (layer < 0)
        return rz_file_tensor(r->file, suffix);
    snprintf(name, sizeof name, "blk.%d.%s", layer, suffix);
    return rz_file_tensor(r->file, name);
}

/* ---- rotary frequencies from the metadata -------------------------------------------------- */

/* {architecture}.suffix as a number, or fallback. */
static double meta_number(const struct rz_ref *r, const char *suffix, double fallback)
{
    char key[128];
    snprintf(key, sizeof key, "%s.%s", r->info->architecture, suffix);
    const rz_meta *meta = rz_file_meta(r->file, key);
    bool number = meta && meta->type != RZ_META_STRING && meta->type != RZ_META_ARRAY;
    return number ? rz_meta_float(meta, 0) : fallback;
}

static bool meta_is(const struct rz_ref *r, const char *suffix, const char *text)
{
    char key[128];
    snprintf(key, sizeof key, "%s.%s", r->info->architecture, suffix);
    const rz_meta *meta = rz_file_meta(r->file, key);
    if (!meta || meta->type != RZ_META_STRING)
        return false;
    rz_slice s = rz_meta_string(meta, 0);
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

/* YaRN's mix: pairs that turn more than beta_fast times in the original context keep their
 * frequency, those that turn less than beta_slow times are slowed by the factor, those between are
 * blended linearly in their index. */
static void scale_yarn(struct rz_ref *r, double theta, double factor)
{
    double context =
        meta_number(r, "rope.scaling.original_context_length", meta_number(r, "context_length", 0));
    double turns[2] = {meta_number(r, "rope.scaling.yarn_beta_fast", 32),
                       meta_number(r, "rope.scaling.yarn_beta_slow", 1)};
    double index[2];
    for (int i = 0; i < 2; i++) /* theta^(-2 index / n_rot) * context = 2 pi * turns */
        index[i] = r->n_rot / 2.0 * log(context / (2 * M_PI * turns[i])) / log(theta);
    double first = fmax(floor(index[0]), 0), last = fmin(ceil(index[1]), r->n_rot - 1.0);
    last = last > first ? last : first + 0.001;
    for (uint32_t i = 0; i < r->n_rot / 2; i++) {
        double slowed = fmin(fmax((i - first) / (last - first), 0), 1);
        r->freqs[i] *= (1 - slowed) + slowed / factor;
    }
    double attention = meta_number(r, "rope.scaling.attn_factor", 1);
    r->magnitude =
        meta_number(r, "rope.scaling.yarn_attn_factor", attention) * (1 + 0.1 * log(factor));
}

static rz_status set_frequencies(struct rz_ref *r, rz_error *err)
{
    double theta = meta_number(r, "rope.freq_base", 10000);
    double factor = meta_number(r, "rope.scaling.factor", 0);
    const rz_tensor *divisors = rz_file_tensor(r->file, "rope_freqs.weight");
    r->n_rot = (uint32_t)meta_number(r, "rope.dimension_count", r->info->head_dim);
    r->magnitude = 1;
    r->freqs = calloc(r->n_rot, sizeof *r->freqs); /* the second half is room for the divisors */
    if (!r->freqs)
        return rz_fail_nomem(err, r->n_rot * sizeof *r->freqs, "the rotary frequencies");
    for (uint32_t i = 0; i < r->n_rot / 2; i++)
        r->freqs[i] = pow(theta, -(double)i / (r->n_rot / 2.0));
    if (divisors) {
        float *d = (float *)(void *)(r->freqs + r->n_rot / 2);
        rz_dtype_info(divisors->dtype)->decode(divisors->data, d, r->n_rot / 2);
        for (uint32_t i = 0; i < r->n_rot / 2; i++)
            r->freqs[i] /= (double)d[i];
    } else if (meta_is(r, "rope.scaling.type", "yarn")) {
        scale_yarn(r, theta, factor == 0 ? 1 : factor);
    } else {
        if (factor == 0 || meta_is(r, "rope.scaling.type", "none"))
            factor = meta_number(r, "rope.scale_linear", 1);
        for (uint32_t i = 0; i < r->n_rot / 2; i++)
            r->freqs[i] /= factor;
    }
    return RZ_OK;
}

rz_status rz_ref_init(struct rz_ref *r, const rz_file *file, const rz_model_info *info,
                      unsigned n_threads, rz_error *err)
{
    *r = (struct rz_ref){.file = file, .info = info, .kv_type = RZ_F32, .rng = {.state = 1}};
    /* GGUF permutes Llama's Q and K rows so that pairs are adjacent; no other model's. */
    r->adjacent = strcmp(info->architecture, "llama") == 0;
    RZ_TRY(rz_pool_new(&r->pool, n_threads, err));
    rz_status status = set_frequencies(r, err);
    if (status)
        rz_ref_fini(r);
    return status;
}

void rz_ref_fini(struct rz_ref *r)
{
    rz_pool_free(&r->pool);
    free(r->freqs);
    *r = (struct rz_ref){0};
}

/* ---- stages -------------------------------------------------------------------------------- */

rz_status rz_ref_embed(const struct rz_ref *r, const int32_t *ids, uint32_t n, bool with_var,
                       struct rz_ref_mat *out, rz_error *err)
{
    const rz_tensor *t = rz_ref_tensor(r, -1, "token_embd.weight");
    const struct rz_dtype_info *type = rz_dtype_info(t->dtype);
    uint32_t d = (uint32_t)t->shape[1];
    float *row = malloc(d * sizeof *row);
    if (!row)
        return rz_fail_nomem(err, d * sizeof *row, "an embedding");
    rz_status status = rz_ref_mat_init(out, n, d, with_var, err);
    for (uint32_t i = 0; !status && i < n; i++) {
        size_t row_bytes = (size_t)(d / type->block_len) * type->block_bytes;
        type->decode((const char *)t->data + (size_t)ids[i] * row_bytes, row, d);
        double max = 0;
        for (uint32_t c = 0; c < d; c++)
            max = fmax(max, fabs((double)row[c]));
        for (uint32_t c = 0; c < d; c++) {
            size_t at = (size_t)i * d + c;
            out->v[at] = (double)row[c];
            if (with_var) /* scale and minimum may be applied in either order, or fused */
                out->var[at] = pow(ref_float_sigma(4, max), 2);
        }
    }
    free(row);
    return status;
}

/* One run of n columns; w its weights. */
static void norm_run(const float *w, uint32_t n, double eps, double *x, double *var)
{
    double sum = 0, spread = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    double rms = sqrt(sum / n + eps);
    for (uint32_t i = 0; var && i < n; i++)
        spread += x[i] * x[i] * var[i];
    for (uint32_t i = 0; i < n; i++) {
        double unit = x[i] / rms, y = unit * (double)w[i];
        if (var) {
            /* d(x / rms) = (dx - x <x, dx> / (n rms^2)) / rms; the sum of squares may be a
             * float32 sum of n / 16 steps of half a unit. */
            double gain = (double)w[i] / rms, shared = unit * gain / (n * rms);
            double own = ref_float_sigma(4 + n / 64.0, y);
            var[i] = gain * gain * var[i] + shared * shared * spread + own * own;
        }
        x[i] = y;
    }
}

rz_status rz_ref_norm(const struct rz_ref *r, const rz_tensor *weight, struct rz_ref_mat *x,
                      rz_error *err)
{
    uint32_t n = (uint32_t)weight->shape[0];
    float *w = malloc(n * sizeof *w);
    if (!w)
        return rz_fail_nomem(err, n * sizeof *w, weight->name);
    rz_dtype_info(weight->dtype)->decode(weight->data, w, n);
    size_t n_all = (size_t)x->n_rows * x->n_cols;
    for (size_t at = 0; at < n_all; at += n)
        norm_run(w, n, (double)r->info->rms_eps, x->v + at, x->var ? x->var + at : NULL);
    free(w);
    return RZ_OK;
}

void rz_ref_rope(const struct rz_ref *r, struct rz_ref_mat *x, const uint32_t *pos)
{
    uint32_t head_dim = r->info->head_dim, half = r->n_rot / 2;
    for (uint32_t m = 0; m < x->n_rows; m++) {
        for (uint32_t h = 0; h < x->n_cols / head_dim; h++) {
            size_t head = (size_t)m * x->n_cols + (size_t)h * head_dim;
            for (uint32_t i = 0; i < half; i++) {
                size_t ia = head + (r->adjacent ? 2 * i : i);
                size_t ib = head + (r->adjacent ? 2 * i + 1 : i + half);
                double angle = pos[m] * r->freqs[i], a = x->v[ia], b = x->v[ib];
                double c = r->magnitude * cos(angle), s = r->magnitude * sin(angle);
                x->v[ia] = a * c - b * s;
                x->v[ib] = b * c + a * s;
                if (!x->var)
                    continue;
                /* The frequency is a float32, its power and logarithm some units off. */
                double own = ref_float_sigma(4 + 16 * angle, r->magnitude * (fabs(a) + fabs(b)));
                double va = x->var[ia], vb = x->var[ib];
                x->var[ia] = c * c * va + s * s * vb + own * own;
                x->var[ib] = c * c * vb + s * s * va + own * own;
            }
        }
    }
}

void rz_ref_softmax(const double *x, double *p, size_t n)
{
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        max = fmax(max, x[i]);
    for (size_t i = 0; i < n; i++)
        sum += p[i] = exp(x[i] - max);
    for (size_t i = 0; i < n; i++)
        p[i] /= sum;
}

/* ---- attention ----------------------------------------------------------------------------- */

struct head {
    const double *q;     /* [head_dim] */
    const double *k, *v; /* of position 0; stride apart */
    size_t stride;
    uint32_t first, n; /* positions seen */
    double *p, *sigma; /* [first + n] scratch: probabilities, scores' errors */
    double *out, *var; /* [head_dim]; var may be NULL */
};

/* Rounding K to 16 bits and summing in float32 move a score by this much. */
static double score_sigma(const struct rz_ref *r, const double *q, const double *k, double scale)
{
    uint32_t n = r->info->head_dim;
    double sum = 0, square = 0;
    for (uint32_t d = 0; d < n; d++) {
        double stored = r->kv_type == RZ_F16 ? q[d] * ref_f16_sigma(k[d]) : 0;
        sum += fabs(q[d] * k[d]);
        square += stored * stored;
    }
    return scale * (sqrt(square) + ref_float_sigma(4 + ref_sum_ulps(n), sum));
}

static void attend_head(const struct rz_ref *r, const struct head *h)
{
    uint32_t n = r->info->head_dim;
    double scale = 1 / sqrt(n), lowest = 0;
    for (uint32_t j = h->first; j < h->first + h->n; j++) {
        const double *k = h->k + j * h->stride;
        double dot = 0;
        for (uint32_t d = 0; d < n; d++)
            dot += h->q[d] * k[d];
        h->p[j] = dot * scale;
        lowest = fmax(lowest, fabs(h->p[j]));
        h->sigma[j] = score_sigma(r, h->q, k, scale);
    }
    rz_ref_softmax(h->p + h->first, h->p + h->first, h->n);
    for (uint32_t d = 0; d < n; d++) {
        double sum = 0, moved = 0, total = 0, stored = 0;
        for (uint32_t j = h->first; j < h->first + h->n; j++)
            sum += h->p[j] * h->v[j * h->stride + d];
        h->out[d] = sum;
        /* d out = sum of p (v - out) d score, taken without cancellation: K and V of equal tokens
         * are rounded alike. A float32 exp of a score is off by the score's own last place. */
        for (uint32_t j = h->first; h->var && j < h->first + h->n; j++) {
            double v = h->v[j * h->stride + d];
            moved += h->p[j] * fabs(v - sum) * h->sigma[j];
            total += h->p[j] * fabs(v);
            stored += r->kv_type == RZ_F16 ? h->p[j] * ref_f16_sigma(v) : 0;
        }
        double own = ref_float_sigma(8 + ref_sum_ulps(h->n) + lowest, total);
        if (h->var)
            h->var[d] = moved * moved + stored * stored + own * own;
    }
}

rz_status rz_ref_attend(const struct rz_ref *r, const struct rz_ref_attention *a,
                        struct rz_ref_mat *out, rz_error *err)
{
    const rz_model_info *m = r->info;
    uint32_t group = m->n_heads / m->n_kv_heads, n_pos = a->k->n_rows;
    double *scratch = calloc(2 * (size_t)n_pos, sizeof *scratch);
    if (!scratch)
        return rz_fail_nomem(err, 2 * n_pos * sizeof *scratch, "attention scores");
    rz_status status = rz_ref_mat_init(out, a->q->n_rows, a->q->n_cols, a->with_var, err);
    for (uint32_t i = 0; !status && i < a->q->n_rows; i++) {
        uint32_t n = a->pos[i] + 1, first = 0;
        if (m->sliding_window && n > m->sliding_window)
            first = n - m->sliding_window;
        for (uint32_t h = 0; h < m->n_heads; h++) {
            size_t at = (size_t)i * out->n_cols + (size_t)h * m->head_dim;
            size_t kv = (size_t)(h / group) * m->head_dim;
            const struct head head = {.q = a->q->v + at,
                                      .k = a->k->v + kv,
                                      .v = a->v->v + kv,
                                      .stride = a->k->n_cols,
                                      .first = first,
                                      .n = n - first,
                                      .p = scratch,
                                      .sigma = scratch + n_pos,
                                      .out = out->v + at,
                                      .var = a->with_var ? out->var + at : NULL};
            attend_head(r, &head);
        }
    }
    free(scratch);
    return status;
}
