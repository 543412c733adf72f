/* tensor_container.c - what a model file's first and last bytes say. */
#include "cli/tensor_container.h"

#include <string.h>
#include <zlib.h>

enum {
    DOTAPR_HEADER_CRC = 40, /* offset of the header's checksum */
    DOTAPR_ALIGNMENT = 64,
    DOTAPR_FLAGS = 6,
    FOOTER_BYTES = 4
};

enum cli_container cli_container_of(const uint8_t *data, size_t len)
{
    if (len >= 4 && !memcmp(data, "GGUF", 4))
        return CLI_CONTAINER_GGUF;
    if (len >= 4 && !memcmp(data, "APR", 4))
        return CLI_CONTAINER_DOTAPR;
    if (len >= 4 && !memcmp(data, "APRN", 4))
        return CLI_CONTAINER_DOTAPR_V1;
    /* The header's length, 8 bytes, and JSON. */
    if (len >= 9 && data[8] == '{')
        return CLI_CONTAINER_SAFETENSORS;
    return CLI_CONTAINER_UNKNOWN;
}

uint64_t cli_load_le(const uint8_t *p, size_t n_bytes)
{
    uint64_t v = 0;
    for (size_t i = n_bytes; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static uint32_t crc(uint32_t start, const uint8_t *data, size_t len)
{
    return (uint32_t)crc32_z(start, data, len);
}

static struct cli_checksum footer(const uint8_t *data, size_t len)
{
    size_t end = len - FOOTER_BYTES;
    return (struct cli_checksum){"file", (uint32_t)cli_load_le(data + end, FOOTER_BYTES),
                                 crc(0, data, end)};
}

static bool is_compressed(const uint8_t *data)
{
    return cli_load_le(data + DOTAPR_FLAGS, 2) & CLI_DOTAPR_COMPRESSED;
}

size_t cli_container_odd_bytes(const uint8_t *data, size_t len)
{
    if (cli_container_of(data, len) != CLI_CONTAINER_DOTAPR || len < CLI_DOTAPR_HEADER_BYTES ||
        is_compressed(data) || len % DOTAPR_ALIGNMENT == FOOTER_BYTES)
        return 0;
    return len % DOTAPR_ALIGNMENT;
}

size_t cli_container_checksums(const uint8_t *data, size_t len,
                               struct cli_checksum out[CLI_MAX_CHECKSUMS])
{
    enum cli_container kind = cli_container_of(data, len);
    if (kind == CLI_CONTAINER_DOTAPR_V1 && len >= CLI_DOTAPR_V1_HEADER_BYTES + FOOTER_BYTES) {
        out[0] = footer(data, len);
        return 1;
    }
    if (kind != CLI_CONTAINER_DOTAPR || len < CLI_DOTAPR_HEADER_BYTES)
        return 0;
    uint32_t sum = crc(0, data, DOTAPR_HEADER_CRC);
    sum = crc(sum, data + DOTAPR_HEADER_CRC + 4, CLI_DOTAPR_HEADER_BYTES - DOTAPR_HEADER_CRC - 4);
    out[0] =
        (struct cli_checksum){"header", (uint32_t)cli_load_le(data + DOTAPR_HEADER_CRC, 4), sum};
    /* Every section is padded, so four bytes more are a footer. Some writers leave it out. */
    if (is_compressed(data) || len % DOTAPR_ALIGNMENT != FOOTER_BYTES)
        return 1;
    out[1] = footer(data, len);
    return 2;
}
