/* jinja_print.h - values as text (Python's str and repr) and as JSON; JSON as values. */
#ifndef RZ_TOKENIZER_JINJA_PRINT_H
#define RZ_TOKENIZER_JINJA_PRINT_H

#include "tokenizer/jinja_run.h"

/* Append; false after rzj_fail (a failed buffer is the caller's to notice). */
bool rzj_add_str(struct rzj_ctx *c, struct rz_buf *b, struct rzj_value v);
bool rzj_add_repr(struct rzj_ctx *c, struct rz_buf *b, struct rzj_value v);

/* str(v) as a string value; strings stay as they are, markup included. */
bool rzj_to_str(struct rzj_ctx *c, struct rzj_value v, struct rzj_value *out);

/* json.dumps's options. */
struct rzj_json_style {
    bool ensure_ascii, sort_keys;
    bool is_indented;
    struct rzj_value indent; /* a string, repeated per level */
    struct rzj_value item_separator, key_separator;
};

bool rzj_add_json(struct rzj_ctx *c, struct rz_buf *b, struct rzj_value v,
                  const struct rzj_json_style *style);

/* The variables: a JSON object, as json.loads reads it. Fails with RZ_EFORMAT. */
bool rzj_read_json(struct rzj_ctx *c, const char *json, size_t len, struct rzj_dict **out);

#endif
