/* hex_header.c - a model file's header, field by field, from its bytes alone: it is for files that
 * no reader opens, so every length is looked at before it is believed, and nothing is allocated. */
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/hex_parts.h"
#include "cli/tensor_container.h"

#include <inttypes.h>
#include <realizar/file.h>
#include <string.h>

enum {
    SHOWN_BYTES = 8, /* of a field, in hexadecimal */
    SHOWN_TEXT = 60, /* of a string */
    MAX_NESTING = 4  /* of GGUF's arrays */
};

/* A walk through the bytes; damaged once something does not fit. */
struct walk {
    const char *path;
    const uint8_t *data;
    size_t len, at;
    bool damaged;
    rz_error *err;
};

static void row_start(const struct walk *w, size_t at, size_t n, const char *field)
{
    char hex[3 * SHOWN_BYTES + 3] = "";
    size_t shown = n < SHOWN_BYTES ? n : SHOWN_BYTES;
    for (size_t i = 0; i < shown; i++)
        snprintf(hex + 3 * i, sizeof hex - 3 * i, "%02x ", w->data[at + i]);
    printf("%010zx  %-24s%s %-22s ", at, hex, n > shown ? ".." : "  ", field);
}

/* True if n more bytes are there; says so once if not. */
static bool has(struct walk *w, uint64_t n, const char *field)
{
    if (w->damaged)
        return false;
    if (n <= w->len - w->at)
        return true;
    w->damaged = true;
    (void)rz_fail(w->err, RZ_EFORMAT,
                  "%s is damaged: %s at byte %zu takes %" PRIu64 " bytes, %zu are left", w->path,
                  field, w->at, n, w->len - w->at);
    return false;
}

/* An integer field, printed with what it means; 0 if it is not there. */
static uint64_t take_int(struct walk *w, size_t n, const char *field, const char *unit)
{
    if (!has(w, n, field))
        return 0;
    uint64_t v = cli_load_le(w->data + w->at, n);
    row_start(w, w->at, n, field);
    printf("%" PRIu64 "%s%s\n", v, *unit ? " " : "", unit);
    w->at += n;
    return v;
}

static void take_magic(struct walk *w, size_t n, const char *meaning)
{
    if (!has(w, n, "magic"))
        return;
    row_start(w, w->at, n, "magic");
    puts(meaning);
    w->at += n;
}

static void take_text(struct walk *w, uint64_t n, const char *field)
{
    if (!has(w, n, field))
        return;
    row_start(w, w->at, (size_t)n, field);
    putchar('"');
    cli_put_clean(stdout, (const char *)w->data + w->at, n < SHOWN_TEXT ? (size_t)n : SHOWN_TEXT,
                  false);
    printf(n > SHOWN_TEXT ? "...\" (%" PRIu64 " bytes)\n" : "\"\n", n);
    w->at += (size_t)n;
}

/* ---- GGUF ---- */

static size_t gguf_bytes(uint64_t type)
{
    static const uint8_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return type < RZ_ARRAY_LEN(bytes) ? bytes[type] : 0;
}

static void gguf_number(struct walk *w, uint64_t type)
{
    size_t n = gguf_bytes(type);
    if (!has(w, n, "value"))
        return;
    row_start(w, w->at, n, "  value");
    uint64_t v = cli_load_le(w->data + w->at, n);
    float f;
    double d;
    memcpy(&f, w->data + w->at, n < sizeof f ? n : sizeof f);
    memcpy(&d, w->data + w->at, n < sizeof d ? n : sizeof d);
    unsigned shift = (unsigned)(64 - 8 * n);
    if (type == RZ_META_F32)
        printf("%.9g\n", (double)f);
    else if (type == RZ_META_F64)
        printf("%.17g\n", d);
    else if (type == RZ_META_BOOL)
        puts(v == 0 ? "false" : v == 1 ? "true" : "neither 0 nor 1");
    else if (type == RZ_META_I8 || type == RZ_META_I16 || type == RZ_META_I32 ||
             type == RZ_META_I64)
        printf("%" PRId64 "\n", (int64_t)(v << shift) >> shift);
    else
        printf("%" PRIu64 "\n", v);
    w->at += n;
}

static bool gguf_type(struct walk *w, const char *field, uint64_t *type)
{
    if (!has(w, 4, field))
        return false;
    *type = cli_load_le(w->data + w->at, 4);
    row_start(w, w->at, 4, field);
    puts(*type < RZ_N_META_TYPES ? rz_meta_type_name((rz_meta_type)*type) : "no such type");
    if (*type >= RZ_N_META_TYPES) {
        w->damaged = true;
        (void)rz_fail(w->err, RZ_EFORMAT, "%s is damaged: %s at byte %zu is %" PRIu64, w->path,
                      field, w->at, *type);
        return false;
    }
    w->at += 4;
    return true;
}

static void gguf_value(struct walk *w, uint64_t type, int nesting);

/* Skips what follows an array's first element. */
static void gguf_array(struct walk *w, int nesting)
{
    uint64_t type = 0;
    if (!gguf_type(w, "  element type", &type))
        return;
    uint64_t n = take_int(w, 8, "  elements", "");
    size_t size = gguf_bytes(type);
    if (w->damaged || n == 0)
        return;
    if (size) {
        uint64_t bytes;
        if (__builtin_mul_overflow(n, size, &bytes))
            bytes = UINT64_MAX;
        size_t start = w->at;
        if (has(w, bytes, "the array")) {
            gguf_number(w, type); /* the first shows what they are like */
            w->at = start + (size_t)bytes;
        }
        return;
    }
    gguf_value(w, type, nesting + 1);
    for (uint64_t i = 1; i < n && !w->damaged && type == RZ_META_STRING; i++) {
        if (!has(w, 8, "a string's length"))
            return;
        uint64_t len = cli_load_le(w->data + w->at, 8);
        w->at += 8;
        if (has(w, len, "a string"))
            w->at += (size_t)len;
    }
    if (type == RZ_META_ARRAY && n > 1 && !w->damaged) {
        w->damaged = true;
        (void)rz_fail(w->err, RZ_EFORMAT, "%s: an array of arrays at byte %zu: the dump ends here",
                      w->path, w->at);
    }
}

static void gguf_value(struct walk *w, uint64_t type, int nesting)
{
    if (type == RZ_META_STRING) {
        uint64_t len = take_int(w, 8, "  length", "bytes");
        take_text(w, len, "  string");
    } else if (type != RZ_META_ARRAY) {
        gguf_number(w, type);
    } else if (nesting < MAX_NESTING) {
        gguf_array(w, nesting);
    } else {
        has(w, UINT64_MAX, "an array nested too deeply");
    }
}

static void gguf_meta(struct walk *w)
{
    uint64_t type = 0, len = take_int(w, 8, "key length", "bytes");
    take_text(w, len, "key");
    if (gguf_type(w, "  type", &type))
        gguf_value(w, type, 0);
}

static void gguf_tensor(struct walk *w)
{
    uint64_t len = take_int(w, 8, "name length", "bytes");
    take_text(w, len, "tensor");
    uint64_t n_dims = take_int(w, 4, "  dimensions", "");
    for (uint64_t i = 0; i < n_dims && !w->damaged; i++)
        take_int(w, 8, i ? "  size" : "  size (contiguous)", "");
    take_int(w, 4, "  ggml type", "");
    take_int(w, 8, "  offset", "from the data's start");
}

static void show_gguf(struct walk *w, uint64_t n_entries)
{
    take_magic(w, 4, "GGUF");
    take_int(w, 4, "version", "");
    uint64_t n_tensors = take_int(w, 8, "tensors", "");
    uint64_t n_meta = take_int(w, 8, "metadata entries", "");
    uint64_t i = 0;
    for (; i < n_meta && i < n_entries && !w->damaged; i++)
        gguf_meta(w);
    if (i < n_meta && !w->damaged) {
        printf("%" PRIu64 " more metadata entries, then the tensors' (--limit)\n", n_meta - i);
        return;
    }
    for (i = 0; i < n_tensors && i + n_meta < n_entries && !w->damaged; i++)
        gguf_tensor(w);
    if (i < n_tensors && !w->damaged)
        printf("%" PRIu64 " more tensors (--limit)\n", n_tensors - i);
}

/* ---- the others ---- */

static void show_safetensors(struct walk *w, uint64_t n_entries)
{
    uint64_t n = take_int(w, 8, "header length", "bytes");
    if (!has(w, n, "the header"))
        return;
    size_t start = w->at, shown = n < n_entries * SHOWN_TEXT ? (size_t)n : n_entries * SHOWN_TEXT;
    for (size_t i = 0; i < shown; i += SHOWN_TEXT) {
        w->at = start + i;
        take_text(w, shown - i < SHOWN_TEXT ? shown - i : SHOWN_TEXT, i ? "" : "JSON");
    }
    w->at = start + (size_t)n;
    printf("%010zx  %" PRIu64 " bytes of tensors\n", w->at, (uint64_t)(w->len - w->at));
}

static void dotapr_tensor(struct walk *w)
{
    uint64_t len = take_int(w, 2, "name length", "bytes");
    take_text(w, len, "tensor");
    take_int(w, 1, "  dtype code", "");
    uint64_t n_dims = take_int(w, 1, "  dimensions", "");
    for (uint64_t i = 0; i < n_dims && !w->damaged; i++)
        take_int(w, 8, "  size", "");
    take_int(w, 8, "  offset", "from the data's start");
    take_int(w, 8, "  size", "bytes");
}

static void show_checksums(struct walk *w)
{
    struct cli_checksum sums[CLI_MAX_CHECKSUMS];
    size_t n = cli_container_checksums(w->data, w->len, sums);
    for (size_t i = 0; i < n; i++) {
        bool right = sums[i].stored == sums[i].computed;
        printf("CRC-32 of the %s: %08x, %s\n", sums[i].what, sums[i].stored,
               right ? "right" : "WRONG");
        if (right || w->damaged)
            continue;
        w->damaged = true;
        (void)rz_fail(w->err, RZ_EFORMAT, "%s is damaged: CRC-32 of the %s is %08x, not %08x",
                      w->path, sums[i].what, sums[i].computed, sums[i].stored);
    }
}

static void show_apr(struct walk *w, uint64_t n_entries)
{
    take_magic(w, 4, ".apr");
    take_int(w, 1, "version, major", "");
    take_int(w, 1, "version, minor", "");
    uint64_t flags = take_int(w, 2, "flags", "");
    uint64_t n_tensors = take_int(w, 4, "tensors", "");
    uint64_t metadata = take_int(w, 8, "metadata at", "");
    uint64_t metadata_bytes = take_int(w, 4, "metadata length", "bytes");
    uint64_t index = take_int(w, 8, "tensor index at", "");
    take_int(w, 8, "data at", "");
    take_int(w, 4, "header CRC-32", "");
    if (!has(w, CLI_DOTAPR_HEADER_BYTES - 44, "reserved"))
        return;
    if (flags & CLI_DOTAPR_COMPRESSED) {
        puts("the rest is compressed or encrypted as one piece");
        show_checksums(w);
        return;
    }
    const uint64_t starts[] = {metadata, index};
    for (size_t i = 0; i < RZ_ARRAY_LEN(starts); i++) {
        w->at = 0;
        if (!has(w, starts[i], i ? "the way to the index" : "the way to the metadata"))
            return;
        w->at = (size_t)starts[i];
        if (i == 0)
            take_text(w, metadata_bytes, "metadata");
        for (uint64_t k = 0; i == 1 && k < n_tensors && k < n_entries && !w->damaged; k++)
            dotapr_tensor(w);
    }
    if (n_tensors > n_entries && !w->damaged)
        printf("%" PRIu64 " more tensors (--limit)\n", n_tensors - n_entries);
    show_checksums(w);
}

static void show_apr_v1(struct walk *w)
{
    take_magic(w, 4, ".apr version 1: classical machine learning");
    take_int(w, 1, "version, major", "");
    take_int(w, 1, "version, minor", "");
    take_int(w, 2, "model type", "");
    uint64_t metadata = take_int(w, 4, "metadata length", "bytes");
    uint64_t payload = take_int(w, 4, "payload length", "bytes");
    take_int(w, 4, "payload, unpacked", "bytes");
    take_int(w, 1, "compression", "");
    take_int(w, 1, "flags", "");
    take_int(w, 1, "quality score", "");
    if (!has(w, 9, "reserved"))
        return;
    w->at = CLI_DOTAPR_V1_HEADER_BYTES;
    take_text(w, metadata, "metadata (MessagePack)");
    if (has(w, payload, "the payload")) {
        row_start(w, w->at, (size_t)payload, "payload");
        putchar('\n');
    }
    show_checksums(w);
}

rz_status cli_hex_header(const char *path, const uint8_t *data, size_t len, uint64_t n_entries,
                         rz_error *err)
{
    struct walk w = {.path = path, .data = data, .len = len, .err = err};
    switch (cli_container_of(data, len)) {
    case CLI_CONTAINER_GGUF:
        show_gguf(&w, n_entries);
        break;
    case CLI_CONTAINER_SAFETENSORS:
        show_safetensors(&w, n_entries);
        break;
    case CLI_CONTAINER_DOTAPR:
        show_apr(&w, n_entries);
        break;
    case CLI_CONTAINER_DOTAPR_V1:
        show_apr_v1(&w);
        break;
    case CLI_CONTAINER_UNKNOWN:
        cli_hex_dump(data, len < 64 ? len : 64, 0, 16);
        return rz_fail(err, RZ_EFORMAT, "%s does not begin as a model file does", path);
    }
    return w.damaged ? RZ_EFORMAT : RZ_OK;
}
