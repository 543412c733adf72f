/* buf.c - a growable byte buffer that knows its maximum. */
#include "base/buf.h"

#include "base/checked.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rz_buf_init(struct rz_buf *b, size_t max_bytes)
{
    *b = (struct rz_buf){.max = max_bytes};
}

void rz_buf_fini(struct rz_buf *b)
{
    free(b->data);
    *b = (struct rz_buf){.max = b->max};
}

/* Room for len more bytes and the NUL. */
static bool reserve(struct rz_buf *b, size_t len)
{
    size_t need;
    if (b->failed || !rz_add_size(b->len, len, &need) || need > b->max ||
        !rz_add_size(need, 1, &need)) {
        b->failed = true;
        return false;
    }
    if (need <= b->cap)
        return true;
    size_t cap = rz_max_size(need, b->cap + b->cap / 2 + 64);
    char *data = realloc(b->data, cap);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

bool rz_buf_add(struct rz_buf *b, const void *data, size_t len)
{
    if (!reserve(b, len))
        return false;
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
    return true;
}

bool rz_buf_str(struct rz_buf *b, const char *text)
{
    return rz_buf_add(b, text, strlen(text));
}

bool rz_buf_char(struct rz_buf *b, char c)
{
    return rz_buf_add(b, &c, 1);
}

bool rz_buf_printf(struct rz_buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    bool ok = n >= 0 && reserve(b, (size_t)n);
    if (ok) {
        vsnprintf(b->data + b->len, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    } else {
        b->failed = true;
    }
    va_end(again);
    return ok;
}
