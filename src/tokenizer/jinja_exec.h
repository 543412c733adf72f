/* jinja_exec.h - between the executor of statements and that of loops. */
#ifndef RZ_TOKENIZER_JINJA_EXEC_H
#define RZ_TOKENIZER_JINJA_EXEC_H

#include "tokenizer/jinja_run.h"

/* Sends the output of statements to a buffer instead. end is always called, with whether all went
 * well so far; *out is the text. */
struct rzj_capture {
    struct rz_buf b;
    struct rz_buf *outer;
};
bool rzj_capture_begin(struct rzj_ctx *c, struct rzj_capture *capture);
bool rzj_capture_end(struct rzj_ctx *c, bool ok, struct rzj_capture *capture,
                     struct rzj_value *out);

/* target = v, in the current scope. */
bool rzj_assign(struct rzj_ctx *c, const struct rzj_node *target, struct rzj_value v);
bool rzj_exec_for(struct rzj_ctx *c, const struct rzj_node *n);

#endif
