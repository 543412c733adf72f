/* jinja_exec.h - between the executor of statements and that of loops. */
#ifndef RZ_TOKENIZER_JINJA_EXEC_H
#define RZ_TOKENIZER_JINJA_EXEC_H

#include "tokenizer/jinja_run.h"

/* Sends the output of statements to a buffer instead. end is always called, with whether all went
 * well so far; *out is the text. */
struct rz_j_capture {
    struct rz_buf b;
    struct rz_buf *outer;
};
bool rz_j_capture_begin(struct rz_j_ctx *c, struct rz_j_capture *capture);
bool rz_j_capture_end(struct rz_j_ctx *c, bool ok, struct rz_j_capture *capture,
                      struct rz_j_value *out);

/* target = v, in the current scope. */
bool rz_j_assign(struct rz_j_ctx *c, const struct rz_j_node *target, struct rz_j_value v);
bool rz_j_exec_for(struct rz_j_ctx *c, const struct rz_j_node *n);

#endif
