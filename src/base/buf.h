/* buf.h - a growable byte buffer that knows its maximum. */
#ifndef RZ_BASE_BUF_H
#define RZ_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

/* Start from rz_buf_init. data is NUL-terminated whenever it is not NULL. */
struct rz_buf {
    char *data;
    size_t len, cap, max;
    bool failed; /* an append did not fit or found no memory; sticky, so callers may check once */
};

void rz_buf_init(struct rz_buf *b, size_t max_bytes);
void rz_buf_fini(struct rz_buf *b);

/* Append; on failure false, the content stays and failed is set. */
bool rz_buf_add(struct rz_buf *b, const void *data, size_t len);
bool rz_buf_str(struct rz_buf *b, const char *text);
bool rz_buf_char(struct rz_buf *b, char c);
bool rz_buf_printf(struct rz_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
