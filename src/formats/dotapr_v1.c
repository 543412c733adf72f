/* dotapr_v1.c - .apr version 1 ("APRN"), aprender's container for classical machine learning.
 *
 *     32-byte header | metadata, MessagePack | payload, bincode, perhaps compressed | signature |
 *     CRC-32 of all before
 *
 * Invariant: the CRC has been verified before anything else is believed. Everything that the file
 * says of itself becomes an entry "apr.…", the model's vectors become tensors; there is no
 * general.architecture, so nothing takes it for a language model.
 * Source: aprender's apr-format crate (types.rs, core_io.rs), as docs/formats.md tells. */
#include "formats/dotapr_v1.h"

#include "base/checked.h"
#include "base/fail.h"

#include <limits.h>
#include <lz4.h>
#include <stdio.h>
#include <string.h>
#include <zstd.h>

enum {
    HEADER_BYTES = 32,
    CRC_BYTES = 4,
    SIGNATURE_BYTES = 64 + 32, /* Ed25519, and the public key */
    MAX_PAYLOAD = 1 << 30,
    MAX_RATIO = 256,
    ALWAYS_ALLOWED = 1 << 20
};

enum { /* flags */
    ENCRYPTED = 0x01,
    SIGNED = 0x02
};

struct header {
    uint16_t model_type;
    uint32_t meta_len, payload_len, unpacked_len;
    uint8_t major, minor, compression, flags, quality;
    uint32_t crc;
};

static const char *const compressions[] = {"none", "zstd level 3", "zstd level 19", "lz4"};

const uint8_t *rz_apr_take(struct rz_apr_bytes *b, size_t n)
{
    if (b->bad || n > b->len - b->pos) {
        b->bad = true;
        return NULL;
    }
    b->pos += n;
    return b->data + b->pos - n;
}

uint64_t rz_apr_take_u(struct rz_apr_bytes *b, size_t n)
{
    uint64_t value = 0;
    const uint8_t *bytes = rz_apr_take(b, n);
    if (bytes)
        memcpy(&value, bytes, n);
    return value;
}

bool rz_apr1_probe(const uint8_t *data, size_t len)
{
    return len >= 4 && memcmp(data, "APRN", 4) == 0;
}

static rz_status read_header(const struct rz_apr_reader *r, struct header *h)
{
    const uint8_t *d = r->data;
    uint32_t crc;
    if (r->len < HEADER_BYTES + CRC_BYTES)
        return rz_apr_bad(r, RZ_EFORMAT, r->len, "the file ends inside its header");
    crc = rz_apr_crc(0, d, r->len - CRC_BYTES);
    memcpy(&h->crc, d + r->len - CRC_BYTES, sizeof h->crc);
    if (crc != h->crc)
        return rz_apr_bad(r, RZ_EFORMAT, r->len - CRC_BYTES,
                          "the file's checksum is %08x and it says %08x: the file is damaged", crc,
                          h->crc);
    h->major = d[4];
    h->minor = d[5];
    memcpy(&h->model_type, d + 6, 2);
    memcpy(&h->meta_len, d + 8, 4);
    memcpy(&h->payload_len, d + 12, 4);
    memcpy(&h->unpacked_len, d + 16, 4);
    h->compression = d[20];
    h->flags = d[21] & 0x7F;
    h->quality = d[22];
    if (h->major > 1)
        return rz_apr_bad(r, RZ_ELOAD, 4, "APRN version %u.%u is not supported, only 1", h->major,
                          h->minor);
    uint64_t end = (uint64_t)HEADER_BYTES + h->meta_len + h->payload_len +
                   (h->flags & SIGNED ? SIGNATURE_BYTES : 0) + CRC_BYTES;
    if (end != r->len)
        return rz_apr_bad(r, RZ_EFORMAT, 8,
                          "%u bytes of metadata and %u of payload make a file of %llu bytes, and "
                          "it has %zu",
                          h->meta_len, h->payload_len, (unsigned long long)end, r->len);
    return RZ_OK;
}

/* ---- what the header says, as entries ---- */

static rz_status put_string(struct rz_apr_meta *m, const char *key, const char *text)
{
    return rz_apr_put_text(m, key, (rz_slice){.data = text, .len = strlen(text)});
}

static rz_status put_flags(struct rz_apr_meta *m, uint8_t flags)
{
    static const char *const names[] = {"encrypted",     "signed",    "streaming",     "licensed",
                                        "trueno-native", "quantized", "has-model-card"};
    char text[128] = "";
    size_t n = 0;
    for (size_t i = 0; i < RZ_ARRAY_LEN(names); i++)
        if (flags >> i & 1)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? " " : "", names[i]);
    return put_string(m, "apr.flags", n ? text : "none");
}

static rz_status put_header(struct rz_apr_meta *m, const struct header *h)
{
    char text[32];
    const char *type = rz_apr1_model_type(h->model_type);
    snprintf(text, sizeof text, "type %u", h->model_type);
    RZ_TRY(put_string(m, "apr.model_type", type ? type : text));
    RZ_TRY(rz_apr_put_u32(m, "apr.model_type_code", h->model_type));
    snprintf(text, sizeof text, "%u.%u", h->major, h->minor);
    RZ_TRY(put_string(m, "apr.version", text));
    RZ_TRY(rz_apr_put_u32(m, "apr.metadata_bytes", h->meta_len));
    RZ_TRY(rz_apr_put_u32(m, "apr.payload_bytes", h->payload_len));
    RZ_TRY(rz_apr_put_u32(m, "apr.uncompressed_bytes", h->unpacked_len));
    snprintf(text, sizeof text, "code %u", h->compression);
    bool known = h->compression < RZ_ARRAY_LEN(compressions);
    RZ_TRY(put_string(m, "apr.compression", known ? compressions[h->compression] : text));
    RZ_TRY(put_flags(m, h->flags));
    RZ_TRY(rz_apr_put_u32(m, "apr.quality_score", h->quality));
    snprintf(text, sizeof text, "%08x, verified", h->crc);
    return put_string(m, "apr.crc32", text);
}

/* ---- payload ---- */

static bool unpack_zstd(const uint8_t *from, size_t n, uint8_t *to, size_t len)
{
    size_t got = ZSTD_decompress(to, len, from, n);
    return !ZSTD_isError(got) && got == len;
}

static bool unpack_lz4(const uint8_t *from, size_t n, uint8_t *to, size_t len)
{
    uint32_t size = 0;
    if (n < sizeof size || n > INT_MAX)
        return false;
    memcpy(&size, from, sizeof size);
    int got = size == len
                  ? LZ4_decompress_safe((const char *)from + 4, (char *)to, (int)n - 4, (int)len)
                  : -1;
    return got >= 0 && (size_t)got == len;
}

/* *data: in the file, or unpacked in the arena. */
static rz_status unpack(const struct rz_apr_reader *r, const struct header *h, const uint8_t **data)
{
    const uint8_t *from = r->data + HEADER_BYTES + h->meta_len;
    uint32_t n = h->unpacked_len;
    *data = from;
    if (h->compression == 0) {
        if (n != h->payload_len)
            return rz_apr_bad(r, RZ_EFORMAT, 16, "a payload of %u bytes is %u bytes when unpacked",
                              h->payload_len, n);
        return RZ_OK;
    }
    if (h->compression >= RZ_ARRAY_LEN(compressions))
        return rz_apr_bad(r, RZ_ELOAD, 20, "compression %u is not known", h->compression);
    if (n > MAX_PAYLOAD || (n > ALWAYS_ALLOWED && n / MAX_RATIO > h->payload_len))
        return rz_apr_bad(r, RZ_EFORMAT, 16, "%u compressed bytes claim to unpack to %u",
                          h->payload_len, n);
    r->file->arena.max_bytes += (size_t)n + 64;
    uint8_t *to = rz_arena_alloc(&r->file->arena, n, 1);
    if (!to)
        return rz_fail_nomem(r->err, n, "the payload");
    bool fine = h->compression == 3 ? unpack_lz4(from, h->payload_len, to, n)
                                    : unpack_zstd(from, h->payload_len, to, n);
    if (!fine)
        return rz_apr_bad(r, RZ_EFORMAT, HEADER_BYTES + h->meta_len,
                          "the compressed payload is damaged");
    *data = to;
    return RZ_OK;
}

static rz_status put_all(struct rz_apr_meta *m, const struct header *h)
{
    struct rz_apr_reader *r = m->r;
    const uint8_t *payload;
    RZ_TRY(put_header(m, h));
    RZ_TRY(rz_apr1_put_map(m, r->data + HEADER_BYTES, h->meta_len, "apr.metadata"));
    if (h->flags & ENCRYPTED)
        return put_string(m, "apr.payload", "encrypted");
    RZ_TRY(unpack(r, h, &payload));
    uint64_t at = h->compression ? 0 : HEADER_BYTES + (uint64_t)h->meta_len;
    return rz_apr1_put_payload(m, h->model_type, payload, h->unpacked_len, at);
}

rz_status rz_apr1_read(struct rz_file *file, rz_error *err)
{
    const struct rz_shard *shard = &file->shards[0];
    struct rz_apr_reader r = {
        .file = file, .label = shard->label, .data = shard->data, .len = shard->len, .err = err};
    struct rz_apr_meta m = {.r = &r};
    struct header h = {0};
    file->format = "APR";
    file->version = 1;
    RZ_TRY(read_header(&r, &h));
    /* MessagePack is denser than entries: two bytes of it may be a key and a value. */
    file->arena.max_bytes += 256ul * h.meta_len + 65536;
    RZ_TRY(put_all(&m, &h));
    rz_file_seal(file);
    return RZ_OK;
}
