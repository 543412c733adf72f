/* tensor_list.h - what the commands that look inside a model file share: opening it, choosing
 * tensors by name, telling shapes and statistics. */
#ifndef RZ_CLI_TENSOR_LIST_H
#define RZ_CLI_TENSOR_LIST_H

#include "cli/options.h"

#include <jansson.h>
#include <realizar/tensor_stats.h>

/* Opens the file that an operand names (cli_model_path). Errors: those of rz_file_open. */
rz_status cli_open_file(rz_file **file, const char *operand, rz_error *err);
/* The same for who reads no weights: rz_file_open_packed. */
rz_status cli_open_listing(rz_file **file, const char *operand, rz_error *err);

/* True if name has pattern in it, or, if the pattern has one of *?[, is matched by it as a shell
 * matches file names. NULL matches everything. */
bool cli_name_matches(const char *pattern, const char *name);

enum cli_tensor_order {
    CLI_ORDER_FILE,
    CLI_ORDER_NAME,  /* numbers within by their value */
    CLI_ORDER_BYTES, /* the largest first */
    CLI_ORDER_COUNT, /* likewise */
    CLI_ORDER_DTYPE
};
#define CLI_ORDER_WORDS "file|name|bytes|elements|dtype"
enum cli_tensor_order cli_tensor_order(const char *word);

/* Chosen tensors of a file. Start from {0}; free items. */
struct cli_tensors {
    const rz_tensor **items;
    size_t n;
};
/* Errors: RZ_ENOTFOUND (pattern given and nothing has such a name), RZ_ENOMEM. */
rz_status cli_select_tensors(struct cli_tensors *out, const rz_file *file, const char *pattern,
                             enum cli_tensor_order order, rz_error *err);

/* Names with numbers in them in the order that a person expects: blk.2 before blk.10. */
int cli_compare_names(const char *a, const char *b);

/* The tensor of that name, or RZ_ENOTFOUND with the nearest name. */
rz_status cli_find_tensor(const rz_tensor **out, const rz_file *file, const char *name,
                          rz_error *err);

/* "151936 x 896" in text, which is returned; "scalar" without dimensions. */
enum {
    CLI_SHAPE_MAX = RZ_MAX_DIMS * 24
};
const char *cli_shape(char text[CLI_SHAPE_MAX], const rz_tensor *t);
json_t *cli_shape_json(const rz_tensor *t);

/* A number; null if it is not finite, which JSON cannot say. */
json_t *cli_json_real(double v);
json_t *cli_json_u64(uint64_t v);

/* All of rz_tensor_stats. */
json_t *cli_stats_json(const rz_tensor_stats *s);

/* "0123456789abcdef" as checksums are written. */
enum {
    CLI_CHECKSUM_MAX = 17
};
const char *cli_checksum(char text[CLI_CHECKSUM_MAX], uint64_t checksum);

#endif
