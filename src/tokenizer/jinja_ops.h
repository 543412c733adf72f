/* jinja_ops.h - Python's operators, and how Jinja2's sandbox reaches attributes and items. */
#ifndef RZ_TOKENIZER_JINJA_OPS_H
#define RZ_TOKENIZER_JINJA_OPS_H

#include "tokenizer/jinja_lex.h"
#include "tokenizer/jinja_run.h"

bool rzj_binary(struct rzj_ctx *c, enum rzj_op op, struct rzj_value a, struct rzj_value b,
                struct rzj_value *out);
bool rzj_negate(struct rzj_ctx *c, unsigned sign, struct rzj_value a, struct rzj_value *out);
bool rzj_compare(struct rzj_ctx *c, enum rzj_op op, struct rzj_value a, struct rzj_value b,
                 bool *out);
bool rzj_contains(struct rzj_ctx *c, struct rzj_value container, struct rzj_value v, bool *out);

/* object.name: the attribute, else the item, else undefined. may_be_method: false if the caller
 * knows that name is no method's. */
bool rzj_getattr(struct rzj_ctx *c, struct rzj_value object, const char *name, size_t len,
                 bool may_be_method, struct rzj_value *out);
/* object[key]: the item, else the attribute, else undefined. */
bool rzj_getitem(struct rzj_ctx *c, struct rzj_value object, struct rzj_value key,
                 struct rzj_value *out);
/* object[low:high:step]; bounds are integers or none. */
bool rzj_getslice(struct rzj_ctx *c, struct rzj_value object, const struct rzj_value bounds[3],
                  struct rzj_value *out);

/* text with & < > ' " escaped for HTML, marked as markup. */
bool rzj_escape(struct rzj_ctx *c, struct rzj_value v, struct rzj_value *out);
/* format % args */
bool rzj_percent(struct rzj_ctx *c, struct rzj_value format, struct rzj_value args,
                 struct rzj_value *out);
/* format.format(args) */
bool rzj_format(struct rzj_ctx *c, struct rzj_value format, const struct rzj_args *args,
                struct rzj_value *out);

#endif
