/* jinja_ops.h - Python's operators, and how Jinja2's sandbox reaches attributes and items. */
#ifndef RZ_TOKENIZER_JINJA_OPS_H
#define RZ_TOKENIZER_JINJA_OPS_H

#include "tokenizer/jinja_lex.h"
#include "tokenizer/jinja_run.h"

bool rz_j_binary(struct rz_j_ctx *c, enum rz_j_op op, struct rz_j_value a, struct rz_j_value b,
                 struct rz_j_value *out);
bool rz_j_negate(struct rz_j_ctx *c, unsigned sign, struct rz_j_value a, struct rz_j_value *out);
bool rz_j_compare(struct rz_j_ctx *c, enum rz_j_op op, struct rz_j_value a, struct rz_j_value b,
                  bool *out);
bool rz_j_contains(struct rz_j_ctx *c, struct rz_j_value container, struct rz_j_value v, bool *out);

/* object.name: the attribute, else the item, else undefined. may_be_method: false if the caller
 * knows that name is no method's. */
bool rz_j_getattr(struct rz_j_ctx *c, struct rz_j_value object, const char *name, size_t len,
                  bool may_be_method, struct rz_j_value *out);
/* object[key]: the item, else the attribute, else undefined. */
bool rz_j_getitem(struct rz_j_ctx *c, struct rz_j_value object, struct rz_j_value key,
                  struct rz_j_value *out);
/* object[low:high:step]; bounds are integers or none. */
bool rz_j_getslice(struct rz_j_ctx *c, struct rz_j_value object, const struct rz_j_value bounds[3],
                   struct rz_j_value *out);

/* text with & < > ' " escaped for HTML, marked as markup. */
bool rz_j_escape(struct rz_j_ctx *c, struct rz_j_value v, struct rz_j_value *out);
/* format % args */
bool rz_j_percent(struct rz_j_ctx *c, struct rz_j_value format, struct rz_j_value args,
                  struct rz_j_value *out);
/* format.format(args) */
bool rz_j_format(struct rz_j_ctx *c, struct rz_j_value format, const struct rz_j_args *args,
                 struct rz_j_value *out);

#endif
