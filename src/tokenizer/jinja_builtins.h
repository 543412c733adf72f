/* jinja_builtins.h - the tables of filters, tests, methods and globals. Adding one is a row.
 *
 * Every table ends with a row without name. */
#ifndef RZ_TOKENIZER_JINJA_BUILTINS_H
#define RZ_TOKENIZER_JINJA_BUILTINS_H

#include "tokenizer/jinja_run.h"

extern const struct rz_j_builtin rz_j_text_filters[];
extern const struct rz_j_builtin rz_j_value_filters[];
extern const struct rz_j_builtin rz_j_seq_filters[];
extern const struct rz_j_builtin rz_j_order_filters[];
extern const struct rz_j_builtin rz_j_tests[];
extern const struct rz_j_builtin rz_j_str_methods[];
extern const struct rz_j_builtin rz_j_str_more_methods[];
extern const struct rz_j_builtin rz_j_list_methods[];
extern const struct rz_j_builtin rz_j_tuple_methods[]; /* tuple, range */
extern const struct rz_j_builtin rz_j_dict_methods[];
extern const struct rz_j_builtin rz_j_cycler_methods[];
extern const struct rz_j_builtin rz_j_globals[];

/* Optional arguments: absent gives otherwise; the wrong type fails. */
bool rz_j_arg_int(struct rz_j_ctx *c, struct rz_j_value v, int64_t otherwise, int64_t *out);
bool rz_j_arg_str(struct rz_j_ctx *c, struct rz_j_value v, struct rz_j_value *out);

/* What attribute="a.b.0" or attribute=0 takes from an item; otherwise replaces undefined unless it
 * is absent or none. */
bool rz_j_attribute_path(struct rz_j_ctx *c, struct rz_j_value item, struct rz_j_value path,
                         struct rz_j_value otherwise, struct rz_j_value *out);
/* Strings in lower case, everything else as it is: the key of case-insensitive sorting. */
bool rz_j_ignore_case(struct rz_j_ctx *c, struct rz_j_value v, struct rz_j_value *out);
/* The arguments from the first on. */
struct rz_j_args rz_j_args_from(const struct rz_j_args *args, uint32_t first);

/* strftime(format) of a moment in UTC; %Z, %z, %f as for a naive datetime. */
bool rz_j_strftime(struct rz_j_ctx *c, int64_t unix_s, struct rz_j_value format,
                   struct rz_j_value *out);

#endif
