/* hex_parts.h - the parts of `apr hex`. */
#ifndef RZ_CLI_HEX_PARTS_H
#define RZ_CLI_HEX_PARTS_H

#include <realizar/tensor_stats.h>

/* Rows of width bytes: offset (from base on), bytes, characters. */
void cli_hex_dump(const uint8_t *data, size_t len, uint64_t base, unsigned width);

/* The header of a file's bytes, field by field, and its first n_entries metadata or index entries.
 * What is damaged is told where it is met: RZ_EFORMAT, after what could be read was printed. */
rz_status cli_hex_header(const char *path, const uint8_t *data, size_t len, uint64_t n_entries,
                         rz_error *err);

/* n blocks of a tensor from the first on, every field of them. */
void cli_hex_blocks(const rz_tensor *t, uint64_t first, uint64_t n);

/* n decoded elements from the first on, per_row in a row. Errors: RZ_ENOMEM. */
rz_status cli_hex_values(const rz_tensor *t, uint64_t first, uint64_t n, unsigned per_row,
                         rz_error *err);

/* Entropy of bytes, in bits a byte, and the share of the commonest byte. */
void cli_hex_entropy(const uint8_t *data, size_t len);

/* A histogram of a tensor's finite elements. Errors: those of the scan. */
rz_status cli_hex_distribution(const rz_tensor *t, rz_error *err);

#endif
