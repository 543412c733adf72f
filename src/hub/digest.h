/* digest.h - hashes of files while they arrive. */
#ifndef RZ_HUB_DIGEST_H
#define RZ_HUB_DIGEST_H

#include <realizar/hub.h>

enum rz_digest_kind {
    RZ_DIGEST_SHA256, /* of the bytes: what the hub tells of large files */
    RZ_DIGEST_GIT /* SHA-1 of "blob SIZE\0" and the bytes: the others; the size is needed first */
};

/* Start from {0}. */
struct rz_digest {
    void *ctx; /* OpenSSL's */
    enum rz_digest_kind kind;
};

/* Begins anew. Errors: RZ_ENOMEM. */
RZ_MUST_USE rz_status rz_digest_start(struct rz_digest *d, enum rz_digest_kind kind, uint64_t size,
                                      rz_error *err);
RZ_MUST_USE rz_status rz_digest_add(struct rz_digest *d, const void *data, size_t len,
                                    rz_error *err);
/* The hash in lower-case hexadecimal. */
RZ_MUST_USE rz_status rz_digest_end(struct rz_digest *d, char hex[RZ_HUB_SHA256_MAX],
                                    rz_error *err);
void rz_digest_fini(struct rz_digest *d);

/* SHA-256 of a text, its first n digits. */
rz_status rz_digest_text(const char *text, char *hex, size_t n, rz_error *err);

#endif
