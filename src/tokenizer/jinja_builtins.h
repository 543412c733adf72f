/* jinja_builtins.h - the tables of filters, tests, methods and globals. Adding one is a row.
 *
 * Every table ends with a row without name. */
#ifndef RZ_TOKENIZER_JINJA_BUILTINS_H
#define RZ_TOKENIZER_JINJA_BUILTINS_H

#include "tokenizer/jinja_run.h"

extern const struct rzj_builtin rzj_text_filters[];
extern const struct rzj_builtin rzj_value_filters[];
extern const struct rzj_builtin rzj_seq_filters[];
extern const struct rzj_builtin rzj_order_filters[];
extern const struct rzj_builtin rzj_tests[];
extern const struct rzj_builtin rzj_str_methods[];
extern const struct rzj_builtin rzj_str_more_methods[];
extern const struct rzj_builtin rzj_list_methods[];
extern const struct rzj_builtin rzj_tuple_methods[]; /* tuple, range */
extern const struct rzj_builtin rzj_dict_methods[];
extern const struct rzj_builtin rzj_cycler_methods[];
extern const struct rzj_builtin rzj_globals[];

/* Optional arguments: absent gives otherwise; the wrong type fails. */
bool rzj_arg_int(struct rzj_ctx *c, struct rzj_value v, int64_t otherwise, int64_t *out);
bool rzj_arg_str(struct rzj_ctx *c, struct rzj_value v, struct rzj_value *out);

/* What attribute="a.b.0" or attribute=0 takes from an item; otherwise replaces undefined unless it
 * is absent or none. */
bool rzj_attribute_path(struct rzj_ctx *c, struct rzj_value item, struct rzj_value path,
                        struct rzj_value otherwise, struct rzj_value *out);
/* Strings in lower case, everything else as it is: the key of case-insensitive sorting. */
bool rzj_ignore_case(struct rzj_ctx *c, struct rzj_value v, struct rzj_value *out);
/* The arguments from the first on. */
struct rzj_args rzj_args_from(const struct rzj_args *args, uint32_t first);

/* strftime(format) of a moment in UTC; %Z, %z, %f as for a naive datetime. */
bool rzj_strftime(struct rzj_ctx *c, int64_t unix_s, struct rzj_value format,
                  struct rzj_value *out);

#endif
