/* dotapr_msgpack.c - the MessagePack map of an .apr file of version 1, as metadata entries.
 *
 * Maps in maps become dotted keys; arrays, which nothing here computes with, JSON text. Invariant:
 * a length is checked against the bytes that are left before it is used, and nesting is bounded.
 * Source: the MessagePack specification (msgpack/msgpack, spec.md). */
#include "base/buf.h"
#include "base/checked.h"
#include "base/fail.h"
#include "base/utf8.h"
#include "formats/dotapr_json.h"
#include "formats/dotapr_v1.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_DEPTH = 16,
    MAX_KEY = 200,
    MAX_TEXT = 1 << 20
};

enum kind {
    NIL,
    BOOL,
    UINT,
    INT,
    FLOAT,
    STRING,
    BINARY, /* and extensions */
    ARRAY,
    MAP,
    BROKEN
};

struct value {
    enum kind kind;
    uint64_t u; /* UINT, BOOL; the count of ARRAY and MAP */
    int64_t i;
    double f;
    rz_slice bytes;
};

struct walk {
    struct rz_apr_meta *m;
    struct rz_apr_bytes b;
    size_t base; /* of the bytes in the file, for messages */
    char key[MAX_KEY + 1];
    size_t key_len;
};

static uint64_t take_big(struct rz_apr_bytes *b, size_t n)
{
    uint64_t value = 0;
    const uint8_t *bytes = rz_apr_take(b, n);
    for (size_t i = 0; bytes && i < n; i++)
        value = value << 8 | bytes[i];
    return value;
}

static struct value take_bytes(struct rz_apr_bytes *b, enum kind kind, uint64_t n)
{
    struct value v = {.kind = kind};
    const uint8_t *bytes = rz_apr_take(b, n > SIZE_MAX ? SIZE_MAX : (size_t)n);
    if (!bytes)
        return (struct value){.kind = BROKEN};
    v.bytes = (rz_slice){.data = (const char *)bytes, .len = (size_t)n};
    return v;
}

static struct value container(struct rz_apr_bytes *b, enum kind kind, uint64_t n)
{
    uint64_t least = kind == MAP ? 2 * n : n;
    if (b->bad || least > b->len - b->pos)
        return (struct value){.kind = BROKEN};
    return (struct value){.kind = kind, .u = n};
}

static struct value take_float(struct rz_apr_bytes *b, size_t n)
{
    struct value v = {.kind = FLOAT};
    uint64_t bits = take_big(b, n);
    uint32_t low = (uint32_t)bits;
    float f;
    memcpy(&f, &low, sizeof f);
    if (n == 4)
        v.f = (double)f;
    else
        memcpy(&v.f, &bits, sizeof v.f);
    return v;
}

static struct value take_int(struct rz_apr_bytes *b, size_t n)
{
    uint64_t bits = take_big(b, n);
    const uint64_t sign = n == 1 ? 0x80 : n == 2 ? 0x8000 : n == 4 ? 1ull << 31 : 1ull << 63;
    return (struct value){.kind = INT, .i = (int64_t)((bits ^ sign) - sign)};
}

/* The types 0xc0 to 0xdf, by the first of each run; a run's types differ in how many bytes the
 * number behind them has. */
static struct value take_typed(struct rz_apr_bytes *b, uint8_t type)
{
    if (type == 0xC0)
        return (struct value){.kind = NIL};
    if (type < 0xC2)
        return (struct value){.kind = BROKEN};
    if (type < 0xC4)
        return (struct value){.kind = BOOL, .u = type & 1};
    if (type < 0xC7)
        return take_bytes(b, BINARY, take_big(b, (size_t)1 << (type - 0xC4)));
    if (type < 0xCA) /* the extension's type is one more byte */
        return take_bytes(b, BINARY, take_big(b, (size_t)1 << (type - 0xC7)) + 1);
    if (type < 0xCC)
        return take_float(b, type == 0xCA ? 4 : 8);
    if (type < 0xD0)
        return (struct value){.kind = UINT, .u = take_big(b, (size_t)1 << (type - 0xCC))};
    if (type < 0xD4)
        return take_int(b, (size_t)1 << (type - 0xD0));
    if (type < 0xD9)
        return take_bytes(b, BINARY, 1 + (UINT64_C(1) << (type - 0xD4)));
    if (type < 0xDC)
        return take_bytes(b, STRING, take_big(b, (size_t)1 << (type - 0xD9)));
    return container(b, type < 0xDE ? ARRAY : MAP, take_big(b, type % 2 ? 4 : 2));
}

static struct value take_value(struct rz_apr_bytes *b)
{
    struct value v;
    uint8_t type = (uint8_t)rz_apr_take_u(b, 1);
    if (b->bad)
        return (struct value){.kind = BROKEN};
    if (type < 0x80)
        v = (struct value){.kind = UINT, .u = type};
    else if (type < 0x90)
        v = container(b, MAP, type & 0x0F);
    else if (type < 0xA0)
        v = container(b, ARRAY, type & 0x0F);
    else if (type < 0xC0)
        v = take_bytes(b, STRING, type & 0x1F);
    else if (type >= 0xE0)
        v = (struct value){.kind = INT, .i = (int8_t)type};
    else
        v = take_typed(b, type);
    if (b->bad)
        v = (struct value){.kind = BROKEN};
    return v;
}

static rz_status broken(const struct walk *w, const char *what)
{
    return rz_apr_bad(w->m->r, RZ_EFORMAT, w->base + w->b.pos, "metadata, MessagePack: %s", what);
}

/* ---- JSON text of an array ---- */

static rz_status put_json(struct walk *w, struct rz_buf *out, struct value v, int depth)
{
    if (depth > MAX_DEPTH)
        return broken(w, "nested too deep");
    switch (v.kind) {
    case NIL:
        rz_buf_str(out, "null");
        break;
    case BOOL:
        rz_buf_str(out, v.u ? "true" : "false");
        break;
    case UINT:
        rz_buf_printf(out, "%" PRIu64, v.u);
        break;
    case INT:
        rz_buf_printf(out, "%" PRId64, v.i);
        break;
    case FLOAT:
        rz_apr_put_json_f64(out, v.f);
        break;
    case STRING:
    case BINARY:
        rz_apr_put_json_text(out, v.bytes);
        break;
    case ARRAY:
    case MAP:
        rz_buf_char(out, v.kind == MAP ? '{' : '[');
        for (uint64_t i = 0; i < v.u; i++) {
            if (i)
                rz_buf_char(out, ',');
            if (v.kind == MAP) {
                RZ_TRY(put_json(w, out, take_value(&w->b), depth + 1));
                rz_buf_char(out, ':');
            }
            RZ_TRY(put_json(w, out, take_value(&w->b), depth + 1));
        }
        rz_buf_char(out, v.kind == MAP ? '}' : ']');
        break;
    case BROKEN:
        return broken(w, "ends inside a value, or has an unknown type");
    }
    return out->failed ? broken(w, "an array of too many bytes") : RZ_OK;
}

static rz_status put_array(struct walk *w, struct value v)
{
    struct rz_buf text;
    rz_buf_init(&text, MAX_TEXT);
    rz_status status = put_json(w, &text, v, 0);
    if (!status)
        status = rz_apr_put_text(w->m, w->key, (rz_slice){.data = text.data, .len = text.len});
    rz_buf_fini(&text);
    return status;
}

/* ---- entries ---- */

static rz_status put_number(struct walk *w, rz_meta_type type, const void *bytes)
{
    const struct rz_apr_put put = {.type = type,
                                   .elem_type = type,
                                   .count = 1,
                                   .bytes = bytes,
                                   .n_bytes = rz_meta_elem_bytes(type)};
    return rz_apr_put(w->m, (rz_slice){.data = w->key, .len = w->key_len}, &put);
}

static rz_status put_text(struct walk *w, rz_slice text)
{
    if (rz_utf8_valid(text.data, text.len) != text.len)
        return broken(w, "a string is not UTF-8");
    return rz_apr_put_text(w->m, w->key, text);
}

static rz_status put_scalar(struct walk *w, struct value v)
{
    char binary[48];
    switch (v.kind) {
    case NIL:
        return RZ_OK;
    case BOOL:
        return rz_apr_put_bool(w->m, w->key, v.u != 0);
    case UINT:
        return put_number(w, RZ_META_U64, &v.u);
    case INT:
        return put_number(w, RZ_META_I64, &v.i);
    case FLOAT:
        return put_number(w, RZ_META_F64, &v.f);
    case STRING:
        return put_text(w, v.bytes);
    case BINARY:
        snprintf(binary, sizeof binary, "(%zu bytes)", v.bytes.len);
        return rz_apr_put_text(w->m, w->key, (rz_slice){.data = binary, .len = strlen(binary)});
    default:
        return broken(w, "ends inside a value, or has an unknown type");
    }
}

/* Appends ".name" to the key. */
static rz_status push_key(struct walk *w, struct value name)
{
    if (name.kind != STRING)
        return broken(w, "a key that is no string");
    rz_slice s = name.bytes;
    if (s.len == 0 || s.len + 1 > MAX_KEY - w->key_len || rz_utf8_valid(s.data, s.len) != s.len)
        return broken(w, "a key that is empty, too long or not UTF-8");
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7F)
            return broken(w, "a key with a control character");
    w->key[w->key_len++] = '.';
    memcpy(w->key + w->key_len, s.data, s.len);
    w->key_len += s.len;
    w->key[w->key_len] = '\0';
    return RZ_OK;
}

/* The maps that are open; keys are bounded in length, so their number is too. */
struct level {
    uint64_t left;
    size_t key_len;
};

static rz_status walk_map(struct walk *w, struct value map)
{
    struct level levels[MAX_DEPTH] = {{.left = map.u, .key_len = w->key_len}};
    size_t depth = 1;
    while (depth > 0) {
        struct level *l = &levels[depth - 1];
        w->key_len = l->key_len;
        if (l->left == 0) {
            depth--;
            continue;
        }
        l->left--;
        RZ_TRY(push_key(w, take_value(&w->b)));
        struct value v = take_value(&w->b);
        if (v.kind == MAP) {
            if (depth == MAX_DEPTH)
                return broken(w, "nested too deep");
            levels[depth++] = (struct level){.left = v.u, .key_len = w->key_len};
        } else {
            RZ_TRY(v.kind == ARRAY ? put_array(w, v) : put_scalar(w, v));
        }
    }
    return RZ_OK;
}

rz_status rz_apr1_put_map(struct rz_apr_meta *m, const uint8_t *data, size_t len,
                          const char *prefix)
{
    struct walk w = {.m = m,
                     .b = {.data = data, .len = len},
                     .base = (size_t)(data - m->r->data),
                     .key_len = strlen(prefix)};
    snprintf(w.key, sizeof w.key, "%s", prefix);
    if (len == 0)
        return RZ_OK;
    struct value map = take_value(&w.b);
    if (map.kind != MAP)
        return broken(&w, "not a map");
    RZ_TRY(walk_map(&w, map));
    return w.b.pos == len ? RZ_OK : broken(&w, "bytes behind the map");
}
