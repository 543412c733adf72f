/* dotapr_json.h - writing the JSON of an .apr file's metadata: compact, as serde_json writes it. */
#ifndef RZ_FORMATS_DOTAPR_JSON_H
#define RZ_FORMATS_DOTAPR_JSON_H

#include "base/buf.h"
#include "formats/file.h"

struct rz_writer_plan;

/* The fields of aprender's metadata struct, in its order, which is that of the file. */
enum rz_apr_known {
    RZ_APR_MODEL_TYPE,
    RZ_APR_NAME,
    RZ_APR_DESCRIPTION,
    RZ_APR_AUTHOR,
    RZ_APR_LICENSE,
    RZ_APR_DATA_SOURCE,
    RZ_APR_DATA_LICENSE,
    RZ_APR_VERSION,
    RZ_APR_SOURCE,
    RZ_APR_ORIGINAL_FORMAT,
    RZ_APR_CREATED_AT,
    RZ_APR_TOTAL_SIZE,
    RZ_APR_PARAM_COUNT,
    RZ_APR_QUANTIZATION,
    RZ_APR_SHARDING,
    RZ_APR_CHAT_TEMPLATE,
    RZ_APR_CHAT_FORMAT,
    RZ_APR_SPECIAL_TOKENS,
    RZ_APR_ARCHITECTURE,
    RZ_APR_HF_ARCHITECTURE,
    RZ_APR_HF_MODEL_TYPE,
    RZ_APR_HIDDEN_SIZE,
    RZ_APR_NUM_LAYERS,
    RZ_APR_NUM_HEADS,
    RZ_APR_NUM_KV_HEADS,
    RZ_APR_VOCAB_SIZE,
    RZ_APR_INTERMEDIATE_SIZE,
    RZ_APR_MAX_POSITION_EMBEDDINGS,
    RZ_APR_ROPE_THETA,
    RZ_APR_ROPE_TYPE,
    RZ_APR_RMS_NORM_EPS,
    RZ_APR_HEAD_DIM,
    RZ_APR_NUM_EXPERTS,
    RZ_APR_NUM_EXPERTS_PER_TOK,
    RZ_APR_MOE_INTERMEDIATE_SIZE,
    RZ_APR_N_KNOWN
};

/* Each a JSON value; empty: unset. */
struct rz_apr_known_fields {
    struct rz_buf value[RZ_APR_N_KNOWN];
};
void rz_apr_known_init(struct rz_apr_known_fields *k);
void rz_apr_known_fini(struct rz_apr_known_fields *k);

/* Appends the fields without braces. Unset ones are left out but for the three legal ones, which
 * become null; all_nulls: all of them do, as aprender before its issue 2254 wrote them. */
void rz_apr_put_known(struct rz_buf *out, const struct rz_apr_known_fields *k, bool all_nulls);

/* A JSON string; what is not UTF-8 in it becomes U+FFFD. */
void rz_apr_put_json_text(struct rz_buf *out, rz_slice text);
/* Floats in as few digits as tell them apart; not finite: a string of their bits. */
void rz_apr_put_json_f32(struct rz_buf *out, float value);
void rz_apr_put_json_f64(struct rz_buf *out, double value);

/* The metadata of a file that the plan describes, edits applied; total_bytes: of its tensors. tied:
 * the head is an entry for the embedding's bytes. Errors: RZ_ELOAD (an array of arrays),
 * RZ_ENOMEM. */
RZ_MUST_USE rz_status rz_apr_put_metadata(struct rz_buf *out, const struct rz_writer_plan *plan,
                                          uint64_t total_bytes, bool tied, rz_error *err);

#endif
