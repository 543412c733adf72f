/* tensor_meta.h - metadata of two files, compared. */
#ifndef RZ_CLI_TENSOR_META_H
#define RZ_CLI_TENSOR_META_H

#include <jansson.h>
#include <realizar/file.h>

/* The differences as an array of {"key", "status": "only_in_a"|"only_in_b"|"differs", "a", "b"}:
 * values shortened to text for a person. NULL if memory ran out. */
json_t *cli_meta_differences(const rz_file *a, const rz_file *b);

#endif
