/* jinja_print.h - values as text (Python's str and repr) and as JSON; JSON as values. */
#ifndef RZ_TOKENIZER_JINJA_PRINT_H
#define RZ_TOKENIZER_JINJA_PRINT_H

#include "tokenizer/jinja_run.h"

/* Append; false after rz_j_fail (a failed buffer is the caller's to notice). */
bool rz_j_add_str(struct rz_j_ctx *c, struct rz_buf *b, struct rz_j_value v);
bool rz_j_add_repr(struct rz_j_ctx *c, struct rz_buf *b, struct rz_j_value v);

/* str(v) as a string value; strings stay as they are, markup included. */
bool rz_j_to_str(struct rz_j_ctx *c, struct rz_j_value v, struct rz_j_value *out);

/* json.dumps's options. */
struct rz_j_json_style {
    bool ensure_ascii, sort_keys;
    bool is_indented;
    struct rz_j_value indent; /* a string, repeated per level */
    struct rz_j_value item_separator, key_separator;
};

bool rz_j_add_json(struct rz_j_ctx *c, struct rz_buf *b, struct rz_j_value v,
                   const struct rz_j_json_style *style);

/* The variables: a JSON object, as json.loads reads it. Fails with RZ_EFORMAT. */
bool rz_j_read_json(struct rz_j_ctx *c, const char *json, size_t len, struct rz_j_dict **out);

#endif
