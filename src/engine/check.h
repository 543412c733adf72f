/* check.h - what the parts of apr check share: the engine's own intermediate values on a short
 * prompt, and what each stage found. */
#ifndef RZ_ENGINE_CHECK_H
#define RZ_ENGINE_CHECK_H

#include "engine/internal.h"
#include "model/reference.h"

#include <realizar/check.h>

/* Two KV blocks; the last tokens one at a time, so that both the batch's and the single token's
 * path are seen. */
enum {
    CHECK_TOKENS = 40,
    CHECK_STEPS = 2,
    CHECK_ROWS = 8 /* tokens whose values are kept and compared */
};

enum check_stage {
    CHECK_TOKENIZER,
    CHECK_EMBEDDING,
    CHECK_ROPE,
    CHECK_QKV,
    CHECK_ATTENTION,
    CHECK_FFN,
    CHECK_NORM,
    CHECK_HEAD,
    CHECK_PROBABILITIES,
    CHECK_SAMPLER
};

/* Values of the compared rows, as the engine computed them; NaN where it did not get so far. */
struct check_capture {
    uint32_t n_tokens, n_prefill, n_rows;
    int32_t ids[CHECK_TOKENS];
    uint32_t pos[CHECK_ROWS]; /* positions of the compared rows */
    uint32_t n_whole;        /* first so many of them: also compared with a whole float64 forward */
    float *point[RZ_N_TAPS]; /* [n_layers or 1][n_rows][cols] */
    uint32_t cols[RZ_N_TAPS];
    float *k, *v;       /* [n_layers][n_tokens][kv]: rotated K and V of all tokens */
    uint32_t step_pos;  /* position of the running step's first token */
    uint32_t logit_pos; /* position of the next row of final norm and logits */
};

struct check_finding {
    double error, bound; /* of the value with the largest error / bound */
    int32_t layer;       /* of that value */
    char what[64];       /* what that value is */
    uint64_t n_compared;
    uint64_t n_blocked;              /* values whose input is not finite */
    char fault[RZ_CHECK_DETAIL_MAX]; /* fails the stage whatever the numbers say; "" if none */
};

struct check {
    const rz_model *model;
    const rz_model_info *info;
    struct rz_ref ref;
    struct check_capture capture;
    struct check_finding found[RZ_N_CHECKS];
    struct rz_ref_mat logits; /* of the compared rows, from the engine's final norm */
};

/* Runs the engine on the prompt and keeps what it computes. */
RZ_MUST_USE rz_status rz_check_capture_run(struct check *c, rz_error *err);
void rz_check_capture_fini(struct check_capture *c);

/* One captured point as rows of float64, variances zero. */
RZ_MUST_USE rz_status rz_check_point(const struct check *c, enum rz_tap_point point, int layer,
                                     struct rz_ref_mat *out, rz_error *err);
const float *rz_check_values(const struct check *c, enum rz_tap_point point, int layer);

/* Compares the engine's values with the reference's; skip [n_rows] may be NULL. */
struct check_pair {
    const float *got;
    const struct rz_ref_mat *want;
    const bool *skip;
    int layer;
    const char *what;
    double sigmas;
};
void rz_check_compare(struct check_finding *f, const struct check_pair *p);
/* Notes one number and its bound. */
void rz_check_note(struct check_finding *f, double error, double bound, int layer,
                   const char *what);
void rz_check_fault(struct check_finding *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Stages 2 to 8. */
RZ_MUST_USE rz_status rz_check_layers(struct check *c, rz_error *err);
/* Looks for damaged blocks in every tensor, and faults the stage it belongs to. */
RZ_MUST_USE rz_status rz_check_weights(struct check *c, rz_error *err);
RZ_MUST_USE rz_status rz_check_tokenizer(struct check *c, rz_error *err);
RZ_MUST_USE rz_status rz_check_probabilities(struct check *c, rz_error *err);
RZ_MUST_USE rz_status rz_check_sampler(struct check *c, rz_error *err);

/* The text of the prompt. */
extern const char rz_check_text[];

#endif
