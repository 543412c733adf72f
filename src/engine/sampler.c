/* sampler.c - picks the next token. Invariant: the candidates are always a prefix of the vocabulary
 * sorted by (logit descending, id ascending), so every filter is a cut of that order and only as
 * much of it is sorted as a filter has to see.
 *
 * Sources: temperature and softmax, Ackley et al. 1985; top-k, Fan et al. 2018; top-p, Holtzman et
 * al. 2020; min-p, Nguyen et al. 2024; repetition penalty, Keskar et al. 2019 (CTRL); frequency and
 * presence penalties as OpenAI's API documents them. */
#include "base/checked.h"
#include "base/fail.h"
#include "base/rng.h"

#include <math.h>
#include <realizar/sampler.h>
#include <stdbool.h>
#include <string.h>

enum {
    GROUP = 256 /* logits per entry of group_max */
};

/* exp(-MAX_DROP) is 2^-53, the resolution of the draw: a token this far (in units of temperature)
 * below the best cannot be drawn, so it need not be a candidate. */
static const double MAX_DROP = 53 * 0.69314718055994531;

struct candidate {
    float logit;
    int32_t id;
};

struct rz_sampler {
    rz_sampler_options options;
    rz_logit_bias *bias; /* owned, [options.n_bias] */
    struct rz_rng rng;
    uint32_t n_vocab, n_groups;
    float *logits;          /* [n_vocab] after bias and penalties */
    float *group_max;       /* [n_groups] */
    uint32_t *count;        /* [n_vocab] all zero between calls; NULL without penalties */
    struct candidate *heap; /* [n_vocab] */
    float last_prob;
    uint32_t last_n;
};

/* What a scan of the logits finds. */
struct scan {
    float max;
    int32_t best; /* lowest id with that logit */
    bool nan;
};

/* ---- options ------------------------------------------------------------------------------- */

rz_sampler_options rz_sampler_options_default(void)
{
    return (rz_sampler_options){
        .temperature = 0,
        .top_p = 1,
        .repeat_penalty = 1,
        .repeat_last_n = 64,
        .seed = 299792458,
    };
}

static rz_status check_options(const rz_sampler_options *o, uint32_t n_vocab, rz_error *err)
{
    if (!(o->temperature >= 0) || !isfinite(o->temperature))
        return rz_fail(err, RZ_EUSAGE, "temperature is %g, expected 0 or more",
                       (double)o->temperature);
    if (!(o->top_p > 0 && o->top_p <= 1))
        return rz_fail(err, RZ_EUSAGE, "top_p is %g, expected above 0 and at most 1",
                       (double)o->top_p);
    if (!(o->min_p >= 0 && o->min_p <= 1))
        return rz_fail(err, RZ_EUSAGE, "min_p is %g, expected 0 to 1", (double)o->min_p);
    if (!(o->repeat_penalty > 0) || !isfinite(o->repeat_penalty))
        return rz_fail(err, RZ_EUSAGE, "repeat_penalty is %g, expected above 0",
                       (double)o->repeat_penalty);
    if (!(fabsf(o->frequency_penalty) <= 2))
        return rz_fail(err, RZ_EUSAGE, "frequency_penalty is %g, expected -2 to 2",
                       (double)o->frequency_penalty);
    if (!(fabsf(o->presence_penalty) <= 2))
        return rz_fail(err, RZ_EUSAGE, "presence_penalty is %g, expected -2 to 2",
                       (double)o->presence_penalty);
    for (size_t i = 0; i < o->n_bias; i++) {
        const rz_logit_bias *b = &o->bias[i];
        if (b->id < 0 || (uint32_t)b->id >= n_vocab)
            return rz_fail(err, RZ_EUSAGE, "logit bias for token %d, the vocabulary has %u", b->id,
                           n_vocab);
        if (isnan(b->bias) || b->bias == INFINITY)
            return rz_fail(err, RZ_EUSAGE, "logit bias of token %d is %g", b->id, (double)b->bias);
    }
    return RZ_OK;
}

static bool has_penalty(const rz_sampler_options *o)
{
    return o->repeat_last_n > 0 &&
           (o->repeat_penalty != 1 || o->frequency_penalty != 0 || o->presence_penalty != 0);
}

rz_status rz_sampler_new(rz_sampler **out, uint32_t n_vocab, const rz_sampler_options *options,
                         rz_error *err)
{
    *out = NULL;
    RZ_ASSERT(n_vocab > 0 && n_vocab <= INT32_MAX);
    RZ_TRY(check_options(options, n_vocab, err));
    rz_sampler *s = calloc(1, sizeof *s);
    if (!s)
        return rz_fail_nomem(err, sizeof *s, "the sampler");
    s->options = *options;
    s->rng.state = options->seed;
    s->n_vocab = n_vocab;
    s->n_groups = (n_vocab + GROUP - 1) / GROUP;
    s->logits = malloc(n_vocab * sizeof *s->logits);
    s->group_max = malloc(s->n_groups * sizeof *s->group_max);
    s->heap = malloc(n_vocab * sizeof *s->heap);
    bool ok = s->logits && s->group_max && s->heap;
    if (has_penalty(options)) {
        s->count = calloc(n_vocab, sizeof *s->count);
        ok = ok && s->count;
    }
    if (options->n_bias > 0) {
        s->bias = calloc(options->n_bias, sizeof *s->bias);
        ok = ok && s->bias;
        if (s->bias)
            memcpy(s->bias, options->bias, options->n_bias * sizeof *s->bias);
    }
    s->options.bias = s->bias;
    if (!ok) {
        rz_sampler_free(&s);
        return rz_fail_nomem(err, n_vocab * sizeof *s->heap, "the sampler's candidates");
    }
    *out = s;
    return RZ_OK;
}

void rz_sampler_free(rz_sampler **sampler)
{
    if (!sampler || !*sampler)
        return;
    rz_sampler *s = *sampler;
    free(s->bias);
    free(s->logits);
    free(s->group_max);
    free(s->count);
    free(s->heap);
    free(s);
    *sampler = NULL;
}

/* ---- the logits, adjusted ------------------------------------------------------------------ */

static void apply_penalties(rz_sampler *s, const int32_t *history, size_t n_history)
{
    const rz_sampler_options *o = &s->options;
    size_t n = rz_min_size(n_history, o->repeat_last_n);
    const int32_t *window = history + (n_history - n);
    for (size_t i = 0; i < n; i++)
        if (window[i] >= 0 && (uint32_t)window[i] < s->n_vocab)
            s->count[window[i]]++;
    for (size_t i = 0; i < n; i++) {
        if (window[i] < 0 || (uint32_t)window[i] >= s->n_vocab || s->count[window[i]] == 0)
            continue; /* not in this vocabulary, or a later occurrence of a token already done */
        float x = s->logits[window[i]];
        x = x > 0 ? x / o->repeat_penalty : x * o->repeat_penalty;
        x -= (float)s->count[window[i]] * o->frequency_penalty + o->presence_penalty;
        s->logits[window[i]] = x;
        s->count[window[i]] = 0;
    }
}

typedef float lanes __attribute__((vector_size(16)));
typedef int32_t lane_bits __attribute__((vector_size(16)));

/* The largest of GROUP logits, any number if one of them is NaN. As vectors, which compilers make
 * of no maximum of floats: every token waits for this (150,000 logits: 20 instead of 65 us). */
static float max_of_group(const float *x, bool *nan)
{
    lanes max[4];
    lane_bits nans = {0};
    memcpy(max, x, sizeof max);
    for (size_t i = 0; i < GROUP; i += 16) {
        lanes v[4];
        memcpy(v, x + i, sizeof v);
        for (int k = 0; k < 4; k++) {
            const lane_bits above = v[k] > max[k];
            max[k] = (lanes)(((lane_bits)v[k] & above) | ((lane_bits)max[k] & ~above));
            nans |= ((lane_bits)v[k] & 0x7FFFFFFF) > 0x7F800000;
        }
    }
    float most = max[0][0];
    for (int k = 0; k < 4; k++) {
        for (int i = 0; i < 4; i++) {
            most = max[k][i] > most ? max[k][i] : most;
            *nan |= nans[i] != 0;
        }
    }
    return most;
}

static float max_of_few(const float *x, uint32_t n, bool *nan)
{
    float max = -INFINITY;
    for (uint32_t i = 0; i < n; i++) {
        *nan |= isnan(x[i]);
        max = x[i] > max ? x[i] : max;
    }
    return max;
}

static struct scan scan_logits(const rz_sampler *s, const float *logits)
{
    struct scan r = {.max = -INFINITY, .best = -1};
    for (uint32_t g = 0; g < s->n_groups; g++) {
        const uint32_t begin = g * GROUP, n = rz_min_u32(GROUP, s->n_vocab - begin);
        const float max = n == GROUP ? max_of_group(logits + begin, &r.nan)
                                     : max_of_few(logits + begin, n, &r.nan);
        s->group_max[g] = max;
        if (max > r.max) {
            r.max = max;
            r.best = (int32_t)begin;
        }
    }
    if (r.best >= 0)
        while (logits[r.best] != r.max)
            r.best++;
    return r;
}

/* ---- a heap of candidates, best on top ----------------------------------------------------- */

static bool better(struct candidate a, struct candidate b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

static void sift_down(struct candidate *heap, size_t n, size_t i)
{
    struct candidate moving = heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n)
            break;
        if (child + 1 < n && better(heap[child + 1], heap[child]))
            child++;
        if (!better(heap[child], moving))
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moving;
}

static void heapify(struct candidate *heap, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        sift_down(heap, n, i);
}

/* Moves the best of heap[0..n) to heap[n - 1]; the rest is a heap of n - 1. */
static struct candidate pop(struct candidate *heap, size_t n)
{
    struct candidate top = heap[0];
    heap[0] = heap[n - 1];
    heap[n - 1] = top;
    sift_down(heap, n - 1, 0);
    return top;
}

/* ---- the filters --------------------------------------------------------------------------- */

/* A logit that at least k tokens reach: the k-th largest of the group maxima. */
static float lower_bound_of_top(rz_sampler *s, uint32_t k)
{
    for (uint32_t g = 0; g < s->n_groups; g++)
        s->heap[g] = (struct candidate){.logit = s->group_max[g], .id = (int32_t)g};
    heapify(s->heap, s->n_groups);
    float bound = -INFINITY;
    for (uint32_t i = 0; i < k; i++)
        bound = pop(s->heap, s->n_groups - i).logit;
    return bound;
}

/* Collects the tokens whose logit is at least limit, in the order of ids. */
static size_t gather(rz_sampler *s, double limit)
{
    size_t n = 0;
    for (uint32_t g = 0; g < s->n_groups; g++) {
        if ((double)s->group_max[g] < limit)
            continue;
        uint32_t begin = g * GROUP, end = rz_min_u32(begin + GROUP, s->n_vocab);
        for (uint32_t i = begin; i < end; i++)
            if ((double)s->logits[i] >= limit)
                s->heap[n++] = (struct candidate){.logit = s->logits[i], .id = (int32_t)i};
    }
    return n;
}

/* The kept candidates, wherever they lie: first[0], first[step], first[2 * step] ... */
struct kept {
    const struct candidate *first;
    ptrdiff_t step;
    size_t n;
    double sum; /* of their weights */
};

/* In units of the best token's probability. Float: its relative error of 1e-7 is far below what any
 * number of draws could show, and twice as fast as double. */
static float weight(const rz_sampler *s, float logit, float max)
{
    return expf((float)(((double)logit - (double)max) / (double)s->options.temperature));
}

/* Weighs heap[0..n) into logits[0..n), whose own content is used up by then; *total is set to the
 * sum. Then drops what top-p cannot keep; returns how many are left. */
static size_t weigh(rz_sampler *s, size_t n, float max, double *total)
{
    const rz_sampler_options *o = &s->options;
    *total = 0;
    for (size_t i = 0; i < n; i++) {
        s->logits[i] = weight(s, s->heap[i].logit, max);
        *total += (double)s->logits[i];
    }
    if (o->top_p >= 1)
        return n;
    /* All tokens below this together weigh less than what top-p leaves out. The factor is for the
     * rounding of sums. */
    double least = (1 - (double)o->top_p) * *total / (double)n * (1 - 1e-6);
    size_t n_left = 0;
    for (size_t i = 0; i < n; i++)
        if ((double)s->logits[i] >= least)
            s->heap[n_left++] = s->heap[i];
    return n_left;
}

/* Sorts as much of heap[0..n) as top-k and top-p ask for, best first from the end backwards. total:
 * the sum of the weights that top_p is a part of; with top_k it is that of the top k instead. */
static struct kept take_sorted(rz_sampler *s, size_t n, float max, double total)
{
    const rz_sampler_options *o = &s->options;
    heapify(s->heap, n);
    size_t n_top = n;
    if (o->top_k > 0) {
        n_top = rz_min_size(n, o->top_k);
        total = 0;
        for (size_t i = 0; i < n_top; i++)
            total += (double)weight(s, pop(s->heap, n - i).logit, max);
    }
    struct kept kept = {.first = s->heap + n - 1, .step = -1};
    while (kept.n < n_top) {
        struct candidate c = o->top_k > 0 ? s->heap[n - 1 - kept.n] : pop(s->heap, n - kept.n);
        float w = weight(s, c.logit, max);
        if (w < o->min_p) /* the best weighs exactly 1 */
            break;
        kept.sum += (double)w;
        kept.n++;
        if (o->top_p < 1 && kept.sum >= (double)o->top_p * total)
            break;
    }
    return kept;
}

/* The lowest logit that top-k, min-p and the draw's resolution leave a chance. */
static double lowest_logit(rz_sampler *s, float max)
{
    const rz_sampler_options *o = &s->options;
    double limit = (double)max - MAX_DROP * (double)o->temperature;
    if (o->top_p >= 1 && o->min_p > 0) /* under top-p the sum is that before min-p */
        limit = fmax(limit, (double)max + log((double)o->min_p) * (double)o->temperature);
    if (o->top_k > 0 && o->top_k <= s->n_groups)
        limit = fmax(limit, (double)lower_bound_of_top(s, o->top_k));
    return limit;
}

static struct kept filter(rz_sampler *s, float max)
{
    double total = 0;
    size_t n = gather(s, lowest_logit(s, max));
    if (s->options.top_k == 0) {
        n = weigh(s, n, max, &total);
        if (s->options.top_p >= 1)
            return (struct kept){.first = s->heap, .step = 1, .n = n, .sum = total};
    }
    return take_sorted(s, n, max, total);
}

static int32_t draw(rz_sampler *s, const struct kept *kept, float max)
{
    double target = rz_rng_unit(&s->rng) * kept->sum, sum = 0;
    struct candidate c = *kept->first;
    float w = 0;
    for (size_t i = 0; i < kept->n; i++) {
        c = kept->first[(ptrdiff_t)i * kept->step];
        w = weight(s, c.logit, max);
        sum += (double)w;
        if (sum > target)
            break;
    }
    s->last_prob = (float)((double)w / kept->sum);
    s->last_n = (uint32_t)kept->n;
    return c.id;
}

rz_status rz_sampler_sample(rz_sampler *s, const float *logits, const int32_t *history,
                            size_t n_history, int32_t *id, rz_error *err)
{
    const bool greedy = s->options.temperature == 0;
    if (!greedy || s->options.n_bias || s->count) /* it changes them */
        logits = memcpy(s->logits, logits, s->n_vocab * sizeof *logits);
    for (size_t i = 0; i < s->options.n_bias; i++)
        s->logits[s->bias[i].id] += s->bias[i].bias;
    if (s->count)
        apply_penalties(s, history, n_history);
    struct scan scan = scan_logits(s, logits);
    if (scan.nan)
        return rz_fail(err, RZ_EINFER, "a logit is not a number");
    if (scan.best < 0)
        return rz_fail(err, RZ_EINFER, "no token is possible: every logit is minus infinity");
    if (scan.max == INFINITY)
        return rz_fail(err, RZ_EINFER, "the logit of token %d is infinite", scan.best);
    if (greedy) {
        s->last_prob = 1;
        s->last_n = 1;
        *id = scan.best;
        return RZ_OK;
    }
    struct kept kept = filter(s, scan.max);
    *id = draw(s, &kept, scan.max);
    return RZ_OK;
}

float rz_sampler_last_prob(const rz_sampler *s, uint32_t *n_candidates)
{
    if (n_candidates)
        *n_candidates = s->last_n;
    return s->last_prob;
}
