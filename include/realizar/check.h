/* check.h - does this engine compute this model rightly? Ten stages, each against a scalar
 * float64 reference on the model's own weights. And perplexity. */
#ifndef REALIZAR_CHECK_H
#define REALIZAR_CHECK_H

#include <realizar/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    RZ_N_CHECKS = 10,
    RZ_CHECK_DETAIL_MAX = 256
};

typedef struct rz_check_stage {
    const char *name; /* "Tokenizer", "Embedding", "Positional Encoding", "Q/K/V Projection",
                       * "Attention Scores", "Feed-Forward (MLP)", "Layer Norm", "LM Head", "Logits
                       * to Probabilities", "Sampler/Decode" */
    bool passed;
    double error;                     /* the worst found, in units of the stage (see detail) */
    double bound;                     /* derived limit for error */
    int32_t layer;                    /* where the worst was, -1 if not a layer's */
    char detail[RZ_CHECK_DETAIL_MAX]; /* one plain-words line */
} rz_check_stage;

typedef struct rz_check_report {
    rz_check_stage stage[RZ_N_CHECKS];
    uint32_t n_passed;
    bool all_passed;
} rz_check_report;

/* Runs all ten stages on a short prompt. RZ_OK when the stages could be run, whether they passed or
 * not. Errors: RZ_ENOMEM, RZ_EINFER. */
RZ_API RZ_MUST_USE rz_status rz_check_model(const rz_model *model, rz_check_report *report,
                                            rz_error *err);

typedef struct rz_perplexity {
    double perplexity;     /* exp(mean negative log-likelihood, natural log) */
    double standard_error; /* of perplexity: by the delta method from the per-token deviation */
    double mean_nll, seconds;
    size_t n_scored, n_windows;
} rz_perplexity;

/* Perplexity of ids: windows of n_ctx tokens (0: the engine's context); in each window every token
 * but the first is scored given all before it in the window. Errors: RZ_EUSAGE (fewer than 2 ids).
 */
RZ_API RZ_MUST_USE rz_status rz_eval_perplexity(rz_engine *engine, const int32_t *ids, size_t n,
                                                uint32_t n_ctx, rz_perplexity *out, rz_error *err);

#ifdef __cplusplus
}
#endif
#endif
