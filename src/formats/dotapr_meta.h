/* dotapr_meta.h - the parts of reading an .apr file's metadata, a JSON object.
 *
 * dotapr_meta.c scans it once; then either dotapr_list.c reads "gguf_metadata", in which this
 * library's writer put everything with its type, or dotapr_fields.c and dotapr_tokens.c translate
 * the fields that aprender and realizar write. */
#ifndef RZ_FORMATS_DOTAPR_META_H
#define RZ_FORMATS_DOTAPR_META_H

#include "formats/dotapr.h"
#include "formats/hf.h"
#include "formats/json_scan.h"

#define RZ_APR_LIST_FIELD "gguf_metadata"

/* A field of the object; both as they stand in the file. */
struct rz_apr_field {
    rz_slice key, value;
    bool used; /* its meaning is in the metadata */
};

struct rz_apr_meta {
    struct rz_apr_reader *r;
    struct rz_hf h; /* what the translation shares with Hugging Face's documents */
    struct rz_apr_field *fields;
    size_t n_fields, cap_fields;
    /* The tokenizer's large arrays, read while scanning; has: they are there. */
    struct rz_hf_strings tokens, merges;
    struct rz_buf scores, types; /* float, int32_t */
    bool has_tokens, has_merges, has_scores, has_types;
};

/* "FILE: metadata FIELD: ..." as RZ_EFORMAT or code. */
#define rz_apr_meta_bad(...) RZ_NOT_OK(rz_apr_meta_bad_fill(__VA_ARGS__))
rz_status rz_apr_meta_bad_fill(const struct rz_apr_meta *m, rz_status code, const char *field,
                               const char *format, ...) __attribute__((format(printf, 4, 5)));

/* A scanner over a part of the JSON. */
struct rz_json rz_apr_scan(const struct rz_apr_meta *m, rz_slice part);

/* A field that is there and not null, or NULL; it counts as used. */
struct rz_apr_field *rz_apr_field(struct rz_apr_meta *m, const char *key);

/* ---- JSON values ---- */

/* What the value is, by its first character. */
static inline bool rz_apr_is_string(rz_slice value)
{
    return value.len >= 2 && value.data[0] == '"';
}
bool rz_apr_to_u64(rz_slice value, uint64_t *out);
bool rz_apr_to_i64(rz_slice value, int64_t *out);
bool rz_apr_to_f64(rz_slice value, double *out);
bool rz_apr_to_bool(rz_slice value, bool *out);
/* The text of a JSON string, escapes resolved, in the file's arena. */
RZ_MUST_USE rz_status rz_apr_to_text(struct rz_apr_meta *m, rz_slice value, rz_slice *out);

/* ---- entries; all are copied to the file's arena ---- */

/* n_bytes at bytes are count elements; starts: of an array of strings. */
struct rz_apr_put {
    rz_meta_type type, elem_type;
    uint64_t count;
    const void *bytes;
    size_t n_bytes;
    const uint32_t *starts;
};
/* Errors: RZ_EFORMAT for a key that is there already. */
RZ_MUST_USE rz_status rz_apr_put(struct rz_apr_meta *m, rz_slice key, const struct rz_apr_put *put);
RZ_MUST_USE rz_status rz_apr_put_u32(struct rz_apr_meta *m, const char *key, uint64_t value);
RZ_MUST_USE rz_status rz_apr_put_f32(struct rz_apr_meta *m, const char *key, double value);
RZ_MUST_USE rz_status rz_apr_put_bool(struct rz_apr_meta *m, const char *key, bool value);
RZ_MUST_USE rz_status rz_apr_put_text(struct rz_apr_meta *m, const char *key, rz_slice text);
RZ_MUST_USE rz_status rz_apr_put_strings(struct rz_apr_meta *m, rz_slice key,
                                         const struct rz_hf_strings *s);
/* A whole number of elements in the buffer. */
RZ_MUST_USE rz_status rz_apr_put_numbers(struct rz_apr_meta *m, rz_slice key, rz_meta_type elem,
                                         const struct rz_buf *b);
bool rz_apr_has_key(const struct rz_apr_meta *m, const char *key);

/* ---- the parts ---- */

/* The list of typed entries in field. */
RZ_MUST_USE rz_status rz_apr_read_list(struct rz_apr_meta *m, const struct rz_apr_field *field);

/* Fields to hyper-parameters. */
RZ_MUST_USE rz_status rz_apr_read_fields(struct rz_apr_meta *m);
/* Where a list was read: do the fields say the same? */
RZ_MUST_USE rz_status rz_apr_compare_fields(struct rz_apr_meta *m);
/* Fields to tokenizer and chat template. n_rows: of the embedding, 0 if there is none. */
RZ_MUST_USE rz_status rz_apr_read_tokens(struct rz_apr_meta *m, uint64_t n_rows);

#endif
