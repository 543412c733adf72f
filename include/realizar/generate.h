/* generate.h - the generation loop: sample, feed, detokenize, stop. */
#ifndef REALIZAR_GENERATE_H
#define REALIZAR_GENERATE_H

#include <realizar/engine.h>
#include <realizar/sampler.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    RZ_MAX_STOPS = 16,
    RZ_MAX_STOP_BYTES = 1024
};

typedef enum rz_finish {
    RZ_FINISH_END,     /* the model said so: an end token */
    RZ_FINISH_STOP,    /* a stop string */
    RZ_FINISH_LENGTH,  /* max_tokens */
    RZ_FINISH_CONTEXT, /* the context is full */
    RZ_FINISH_CANCEL   /* the callback returned false */
} rz_finish;

/* Called for every piece of text as soon as it is certain (whole UTF-8 sequences, nothing that may
 * turn out to be part of a stop string); text is not NUL-terminated, len may be 0 when a token
 * completes no text. id: the token just sampled. Return false to stop. */
typedef bool rz_text_fn(void *ctx, const char *text, size_t len, int32_t id);

typedef struct rz_generate_options {
    size_t max_tokens;        /* 0: as many as the context holds */
    const char *const *stops; /* [n_stops] NUL-terminated, not empty, at most RZ_MAX_STOP_BYTES; may
                                 span tokens; not part of the text */
    size_t n_stops;
    bool keep_special;   /* special tokens' written form is part of the text */
    bool ignore_end;     /* go on after an end token */
    rz_text_fn *on_text; /* may be NULL */
    void *ctx;
} rz_generate_options;

typedef struct rz_generation {
    rz_finish finish;
    rz_text text; /* owned; all text given to on_text, concatenated */
    rz_ids ids;   /* owned; every sampled token, the end token included */
    double first_token_s,
        rest_s; /* seconds to the first sampled token after the call; for the rest */
} rz_generation;

/* Generates from the session's current logits (it must have been fed). The sampled tokens are fed
 * to the session, except the end token or the last one. On failure *out is still valid: it holds
 * what was generated. Free with rz_generation_free. Errors: RZ_EUSAGE (bad options), those of
 * sampling and feeding. */
RZ_API RZ_MUST_USE rz_status rz_generate(rz_session *session, rz_sampler *sampler,
                                         const rz_generate_options *options, rz_generation *out,
                                         rz_error *err);
RZ_API void rz_generation_free(rz_generation *g);
RZ_API const char *rz_finish_name(rz_finish f); /* "end", "stop", "length", "context", "cancel" */

#ifdef __cplusplus
}
#endif
#endif
