/* digest.c - SHA-256 (FIPS 180-4) and git's object name (git-scm.com/book, "Git Objects"), both by
 * OpenSSL's libcrypto, which uses the CPU's instructions for them. */
#include "hub/digest.h"

#include "base/fail.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

static rz_status failed(rz_error *err)
{
    return rz_fail(err, RZ_ENOMEM, "libcrypto does not compute a hash");
}

rz_status rz_digest_start(struct rz_digest *d, enum rz_digest_kind kind, uint64_t size,
                          rz_error *err)
{
    if (!d->ctx)
        d->ctx = EVP_MD_CTX_new();
    d->kind = kind;
    if (!d->ctx ||
        !EVP_DigestInit_ex(d->ctx, kind == RZ_DIGEST_SHA256 ? EVP_sha256() : EVP_sha1(), NULL))
        return failed(err);
    if (kind == RZ_DIGEST_GIT) {
        char head[40];
        int n = snprintf(head, sizeof head, "blob %llu", (unsigned long long)size);
        return rz_digest_add(d, head, (size_t)n + 1, err); /* with its NUL */
    }
    return RZ_OK;
}

rz_status rz_digest_add(struct rz_digest *d, const void *data, size_t len, rz_error *err)
{
    return EVP_DigestUpdate(d->ctx, data, len) ? RZ_OK : failed(err);
}

rz_status rz_digest_end(struct rz_digest *d, char hex[RZ_HUB_SHA256_MAX], rz_error *err)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (!EVP_DigestFinal_ex(d->ctx, bytes, &n) || 2 * (size_t)n >= RZ_HUB_SHA256_MAX)
        return failed(err);
    for (unsigned i = 0; i < n; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * n] = '\0';
    return RZ_OK;
}

void rz_digest_fini(struct rz_digest *d)
{
    EVP_MD_CTX_free(d->ctx);
    d->ctx = NULL;
}

rz_status rz_digest_text(const char *text, char *hex, size_t n, rz_error *err)
{
    struct rz_digest d = {0};
    char whole[RZ_HUB_SHA256_MAX];
    rz_status status = rz_digest_start(&d, RZ_DIGEST_SHA256, 0, err);
    if (!status)
        status = rz_digest_add(&d, text, strlen(text), err);
    if (!status)
        status = rz_digest_end(&d, whole, err);
    if (!status) {
        memcpy(hex, whole, n);
        hex[n] = '\0';
    }
    rz_digest_fini(&d);
    return status;
}
