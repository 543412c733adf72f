/* hf_export.h - the JSON documents of a Hugging Face model, made from metadata under GGUF's keys:
 * the mirror of hf.h.
 *
 * hf_export_config.c: config.json with its rotary part (hf_export_rope.c); hf_export_tokenizer.c:
 * tokenizer.json; hf_export.c: what is left, and what they share. What a document cannot say and
 * would change a result is refused by name. */
#ifndef RZ_FORMATS_HF_EXPORT_H
#define RZ_FORMATS_HF_EXPORT_H

#include "base/buf.h"
#include "formats/writer.h"

#include <jansson.h>

struct rz_hf_export {
    const rz_file *source;
    const struct rz_writer_plan *plan;
    rz_slice arch;
    uint32_t n_vocab, head_dim, n_ctx;
    bool tied;
    rz_error *err;
};

/* A document, as text. */
typedef rz_status rz_hf_sink(void *ctx, const char *name, const char *text, size_t len,
                             rz_error *err);

/* Makes all documents, config.json first. Errors: RZ_ELOAD (what cannot be said), RZ_EFORMAT (a
 * value of the wrong type), RZ_ENOMEM, the sink's. */
RZ_MUST_USE rz_status rz_hf_export(const struct rz_writer_plan *plan, rz_hf_sink *sink, void *ctx,
                                   rz_error *err);

RZ_MUST_USE rz_status rz_hf_export_config(struct rz_hf_export *x, json_t *config);
RZ_MUST_USE rz_status rz_hf_export_rope(struct rz_hf_export *x, json_t *config);
RZ_MUST_USE rz_status rz_hf_export_tokenizer(struct rz_hf_export *x, struct rz_buf *out);

/* A token's text; the empty slice if there is no such id. */
rz_slice rz_hf_export_token(const struct rz_hf_export *x, uint32_t id);
/* The id under a key; false if there is none. A value that is no id of the vocabulary counts as
 * none, as it does for the tokenizer. */
bool rz_hf_export_id(const struct rz_hf_export *x, const char *key, uint32_t *id);

/* A number that float32 holds, with as few digits as tell it from its neighbours. */
json_t *rz_hf_export_f32(float value);
json_t *rz_hf_export_text(rz_slice text);

#endif
