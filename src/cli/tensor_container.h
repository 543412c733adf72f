/* tensor_container.h - a model file's bytes as they lie on the disk, for what must also work where
 * the file is damaged. */
#ifndef RZ_CLI_TENSOR_CONTAINER_H
#define RZ_CLI_TENSOR_CONTAINER_H

#include "base/map.h"

#include <stdbool.h>

enum cli_container {
    CLI_CONTAINER_GGUF,
    CLI_CONTAINER_SAFETENSORS,
    CLI_CONTAINER_DOTAPR,    /* "APR\0": version 2 */
    CLI_CONTAINER_DOTAPR_V1, /* "APRN" */
    CLI_CONTAINER_UNKNOWN
};

/* By the first bytes alone. */
enum cli_container cli_container_of(const uint8_t *data, size_t len);

/* What both versions of .apr fix (docs/formats.md). */
enum {
    CLI_DOTAPR_HEADER_BYTES = 64,
    CLI_DOTAPR_V1_HEADER_BYTES = 32,
    CLI_DOTAPR_COMPRESSED =
        7 /* flags LZ4, ZSTD, encrypted: what is after the header is another's */
};

/* Little-endian integers of 1 to 8 bytes at any address. */
uint64_t cli_load_le(const uint8_t *p, size_t n_bytes);

/* Bytes that an .apr of version 2 has after the padding of its last section and that are no footer:
 * 0 of any other file, and of one whose end is as it should be. */
size_t cli_container_odd_bytes(const uint8_t *data, size_t len);

/* A checksum that the container keeps of itself. */
struct cli_checksum {
    const char *what; /* "header", "file" */
    uint32_t stored, computed;
};
enum {
    CLI_MAX_CHECKSUMS = 2
};
/* The checksums of an .apr file (apr-format: CRC-32 of the header without its own field; CRC-32 of
 * all bytes before the last four, which stand behind the padding to 64 where a writer adds them and
 * are not looked for in compressed files). Returns their number: 0 for the other containers, which
 * have none. */
size_t cli_container_checksums(const uint8_t *data, size_t len,
                               struct cli_checksum out[CLI_MAX_CHECKSUMS]);

#endif
