/* engine.h - running a model: an engine owns the KV pool and the scratch memory of a step; a
 * session is one sequence in it. One thread at a time uses a model's engines and their sessions:
 * all of them compute with the model's threads.
 *
 *     rz_engine_new(&e, model, &options, &err);
 *     rz_session_new(&s, e, &err);
 *     rz_session_feed(s, ids, n, &err);            // logits of the last token
 *     const float *logits = rz_session_logits(s);  // [n_vocab]
 */
#ifndef REALIZAR_ENGINE_H
#define REALIZAR_ENGINE_H

#include <realizar/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rz_engine rz_engine;
typedef struct rz_session rz_session;

typedef struct rz_engine_options {
    uint32_t n_ctx;        /* most tokens of a session; 0: the model's own context */
    uint32_t max_sessions; /* sessions at a time; KV memory is reserved for all, and touched only
                            * as it is used */
    uint32_t n_batch;      /* most tokens of one forward; longer feeds run in parts */
    rz_dtype kv_type; /* RZ_F32, RZ_F16 or RZ_Q8_0 (8 bits: 53 % of F16's memory); RZ_N_DTYPES: F32
                         for a model whose weights are all floats, else F16 */
} rz_engine_options;

/* n_ctx 0, max_sessions 1, n_batch 512, kv_type RZ_N_DTYPES. */
RZ_API rz_engine_options rz_engine_options_default(void);

/* Errors: RZ_EUSAGE (n_ctx above the model's trained context; an option out of range), RZ_ENOMEM.
 * options may be NULL. The model must outlive the engine, the engine its sessions. */
RZ_API RZ_MUST_USE rz_status rz_engine_new(rz_engine **out, const rz_model *model,
                                           const rz_engine_options *options, rz_error *err);
RZ_API void rz_engine_free(rz_engine **engine);
RZ_API const rz_model *rz_engine_model(const rz_engine *engine);
RZ_API uint32_t rz_engine_n_ctx(const rz_engine *engine);
RZ_API rz_dtype rz_engine_kv_type(const rz_engine *engine);
/* Bytes of KV cache reserved (address space), and in blocks that sessions hold now. */
RZ_API uint64_t rz_engine_kv_bytes_reserved(const rz_engine *engine);
RZ_API uint64_t rz_engine_kv_bytes_used(const rz_engine *engine);
/* Scratch memory of a step, bytes. */
RZ_API uint64_t rz_engine_scratch_bytes(const rz_engine *engine);

/* A new empty sequence. Errors: RZ_EINFER (max_sessions reached), RZ_ENOMEM. */
RZ_API RZ_MUST_USE rz_status rz_session_new(rz_session **out, rz_engine *engine, rz_error *err);
RZ_API void rz_session_free(rz_session **session);

/* Appends n ids to the sequence and computes the logits after the last of them. Errors: RZ_EINFER
 * (the context would overflow: nothing is fed, the sentence has both numbers; or the logits are not
 * finite: the ids are fed and the logits NULL), RZ_EUSAGE (an id is outside the vocabulary, or n is
 * 0: nothing is fed). */
RZ_API RZ_MUST_USE rz_status rz_session_feed(rz_session *s, const int32_t *ids, size_t n,
                                             rz_error *err);

/* As rz_session_feed, and writes the logits after every fed token to all: [n][n_vocab] f32. Where
 * logits are not finite, the ids of the part of n_batch that they are in are the last fed. */
RZ_API RZ_MUST_USE rz_status rz_session_feed_all(rz_session *s, const int32_t *ids, size_t n,
                                                 float *all, rz_error *err);

/* One forward over several sequences of one engine: continuous batching. Each n at least 1, their
 * sum at most n_batch; each session at most once. Errors: as rz_session_feed; if the context of one
 * would overflow or an id is wrong, nothing is fed. After logits that are not finite all are fed,
 * and those sessions whose logits are have them. */
typedef struct rz_feed {
    rz_session *session;
    const int32_t *ids;
    size_t n;
    float *all; /* NULL, or [n][n_vocab]: set to the logits after each of the n tokens */
} rz_feed;
RZ_API RZ_MUST_USE rz_status rz_engine_step(rz_engine *engine, const rz_feed *feeds, size_t n_feeds,
                                            rz_error *err);

/* Logits after the last fed token: [n_vocab], valid until the session's next feed; NULL before the
 * first. */
RZ_API const float *rz_session_logits(const rz_session *s);

/* The tokens in the sequence, borrowed until the next feed or truncate. */
RZ_API const int32_t *rz_session_ids(const rz_session *s, size_t *n);

/* Drops every token from position n on (a no-op if there are not more); its KV blocks return to the
 * pool. The logits become NULL unless nothing was dropped. */
RZ_API void rz_session_truncate(rz_session *s, size_t n);

/* Makes the sequence exactly ids[0..n): keeps the longest common prefix, drops the rest and feeds
 * what is missing, the last token again if its logits are no longer there. *n_reused (may be NULL)
 * is set to the number of tokens kept. Errors: as rz_session_feed; where nothing was fed for
 * another reason than an overflow, the sequence is the common prefix. */
RZ_API RZ_MUST_USE rz_status rz_session_sync(rz_session *s, const int32_t *ids, size_t n,
                                             size_t *n_reused, rz_error *err);

#ifdef __cplusplus
}
#endif
#endif
