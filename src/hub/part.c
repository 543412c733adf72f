/* part.c - a download that can be interrupted anywhere: kill -9, a full disk, a server that lies.
 *
 * What is trusted: nothing but the size and hash that the hub told for this commit (where it told
 * none: the Content-Length). What is on the disk from an earlier run is hashed like what arrives,
 * so a partial file of another version, or with holes after a power failure, cannot get the name:
 * the mismatch is found, and the file is fetched once more from its beginning.
 * RFC 9110: 13.1.5 If-Range, 14.4 Content-Range, 15.3.7 206, 15.5.17 416. */
#include "hub/part.h"

#include "base/fail.h"
#include "hub/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    READ_BYTES = 1 << 20
};

void rz_part_init(struct rz_part *p)
{
    *p = (struct rz_part){.fd = -1, .size = RZ_HUB_SIZE_UNKNOWN};
}

static void close_partial(struct rz_part *p)
{
    struct stat st;
    if (p->is_locked && !p->done && !fstat(p->fd, &st) && st.st_size == 0)
        unlink(p->partial); /* nothing to resume */
    if (p->fd >= 0)
        close(p->fd); /* and with it the lock */
    p->fd = -1;
    p->is_locked = p->is_hashing = false;
}

void rz_part_fini(struct rz_part *p)
{
    close_partial(p);
    rz_digest_fini(&p->digest);
    free(p->target);
    free(p->partial);
    free(p->etag_path);
    rz_part_init(p);
}

static rz_status start_digest(struct rz_part *p, rz_error *err)
{
    /* git's hash begins with the size, so without one there is nothing to compare with. */
    bool git = !*p->sha256 && *p->git_sha1 && p->size != RZ_HUB_SIZE_UNKNOWN;
    return rz_digest_start(&p->digest, git ? RZ_DIGEST_GIT : RZ_DIGEST_SHA256, p->size, err);
}

static bool is_hash_known(const struct rz_part *p)
{
    return *p->sha256 || (*p->git_sha1 && p->size != RZ_HUB_SIZE_UNKNOWN);
}

/* Hashes what is in the file from its beginning to its end; *len is what was read. */
static rz_status hash_file(struct rz_part *p, int fd, const char *path, uint64_t *len,
                           rz_error *err)
{
    RZ_TRY(start_digest(p, err));
    char *data = malloc(READ_BYTES);
    if (!data)
        return rz_fail_nomem(err, READ_BYTES, "a buffer");
    rz_status status = RZ_OK;
    *len = 0;
    while (!status) {
        ssize_t n = pread(fd, data, READ_BYTES, (off_t)*len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            status = rz_fail(err, RZ_EIO, "%s cannot be read: %s", path, strerror(errno));
        if (n <= 0)
            break;
        status = rz_digest_add(&p->digest, data, (size_t)n, err);
        *len += (uint64_t)n;
        if (!status && p->tick && !p->tick(p->tick_user))
            status = rz_fail(err, RZ_ECANCEL, "the download was stopped");
    }
    free(data);
    return status;
}

/* Ends the digest; *same: it is what the hub told (or nothing was told). */
static rz_status compare(struct rz_part *p, bool *same, char hex[RZ_HUB_SHA256_MAX], rz_error *err)
{
    p->is_hashing = false;
    RZ_TRY(rz_digest_end(&p->digest, hex, err));
    bool git = p->digest.kind == RZ_DIGEST_GIT;
    const char *wanted = git ? p->git_sha1 : p->sha256;
    *same = !*wanted || !strcmp(wanted, hex);
    return RZ_OK;
}

rz_status rz_part_check(struct rz_part *p, const char *path, bool *same, rz_error *err)
{
    struct stat st;
    *same = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return rz_fail(err, RZ_EIO, "%s cannot be opened: %s", path, strerror(errno));
    rz_status status = RZ_OK;
    if (!fstat(fd, &st) && S_ISREG(st.st_mode) &&
        (p->size == RZ_HUB_SIZE_UNKNOWN || (uint64_t)st.st_size == p->size)) {
        uint64_t len;
        char hex[RZ_HUB_SHA256_MAX];
        *same = !is_hash_known(p);
        if (!*same)
            status = hash_file(p, fd, path, &len, err);
        if (!status && !*same)
            status = compare(p, same, hex, err);
    }
    close(fd);
    return status;
}

static enum rz_http_verdict fail_io(const struct rz_part *p, const char *action, rz_error *err)
{
    (void)rz_fail(err, RZ_EIO, "%s cannot be %s: %s", p->partial, action, strerror(errno));
    return RZ_HTTP_FAIL;
}

static bool target_exists(const struct rz_part *p)
{
    struct stat st;
    return !stat(p->target, &st) && S_ISREG(st.st_mode) &&
           (p->size == RZ_HUB_SIZE_UNKNOWN || (uint64_t)st.st_size == p->size);
}

/* Opens and locks the partial file. WAIT: somebody else has it. The lock is on the inode, so after
 * it is had, the name must still be that inode's: its last owner may have renamed it. */
static enum rz_http_verdict open_partial(struct rz_part *p, rz_error *err)
{
    if (rz_make_parents(p->partial, err) || rz_make_parents(p->target, err))
        return RZ_HTTP_FAIL;
    p->fd = open(p->partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (p->fd < 0)
        return fail_io(p, "opened", err);
    if (flock(p->fd, LOCK_EX | LOCK_NB)) {
        bool is_busy = errno == EWOULDBLOCK || errno == EINTR;
        if (!is_busy)
            fail_io(p, "locked", err);
        close_partial(p);
        return is_busy ? RZ_HTTP_WAIT : RZ_HTTP_FAIL;
    }
    struct stat open_st, named_st;
    if (fstat(p->fd, &open_st) || !S_ISREG(open_st.st_mode)) {
        errno = EINVAL;
        return fail_io(p, "used", err);
    }
    if (stat(p->partial, &named_st) || open_st.st_ino != named_st.st_ino ||
        open_st.st_dev != named_st.st_dev) {
        close_partial(p);
        return RZ_HTTP_WAIT;
    }
    p->is_locked = true;
    return RZ_HTTP_GO;
}

static enum rz_http_verdict restart(struct rz_part *p, rz_error *err)
{
    p->len = 0;
    p->was_resumed = false;
    p->etag[0] = '\0';
    unlink(p->etag_path);
    if (ftruncate(p->fd, 0))
        return fail_io(p, "emptied", err);
    p->is_hashing = true;
    return start_digest(p, err) ? RZ_HTTP_FAIL : RZ_HTTP_GO;
}

static void load_etag(struct rz_part *p)
{
    struct rz_buf text;
    rz_buf_init(&text, RZ_ETAG_MAX - 1);
    rz_error ignored;
    p->etag[0] = '\0';
    if (!rz_file_read(p->etag_path, &text, &ignored) && text.data && rz_etag_is_strong(text.data) &&
        !strpbrk(text.data, "\r\n"))
        memcpy(p->etag, text.data, text.len + 1);
    rz_buf_fini(&text);
}

/* Takes what an earlier run has left, as far as it is of use. */
static enum rz_http_verdict take_up(struct rz_part *p, rz_error *err)
{
    struct stat st;
    if (fstat(p->fd, &st))
        return fail_io(p, "used", err);
    uint64_t had = (uint64_t)st.st_size;
    load_etag(p);
    bool useful = had > 0 && !p->no_resume && (*p->etag || is_hash_known(p)) && had <= p->size;
    if (!useful)
        return restart(p, err);
    if (hash_file(p, p->fd, p->partial, &p->len, err))
        return RZ_HTTP_FAIL;
    p->is_hashing = true;
    p->was_resumed = true;
    return RZ_HTTP_GO;
}

static enum rz_http_verdict part_end(void *user, rz_error *err);

static enum rz_http_verdict part_begin(void *user, struct rz_http_range *range, rz_error *err)
{
    struct rz_part *p = user;
    if (!p->force && target_exists(p))
        goto there;
    bool is_first = p->fd < 0;
    enum rz_http_verdict verdict = is_first ? open_partial(p, err) : RZ_HTTP_GO;
    if (verdict != RZ_HTTP_GO)
        return verdict;
    /* Whoever held the lock before may have finished the file. */
    if (is_first && !p->force && target_exists(p)) {
        unlink(p->partial);
        goto there;
    }
    if (!p->is_hashing)
        verdict = take_up(p, err);
    else if (p->no_resume || (!*p->etag && !is_hash_known(p)))
        verdict = restart(p, err);
    if (verdict != RZ_HTTP_GO)
        return verdict;
    if (p->len > 0 && p->len == p->size)
        return part_end(p, err);
    range->from = p->len;
    memcpy(range->if_range, p->etag, sizeof range->if_range);
    return RZ_HTTP_GO;
there:
    close_partial(p);
    p->done = true;
    return RZ_HTTP_DONE;
}

/* A redirect or an answer of the hub tells the file's hash too. If it is another than the
 * listing's, the file has changed under us: better to know before than after gigabytes. */
static enum rz_http_verdict part_hop(void *user, const struct rz_http_head *head, rz_error *err)
{
    struct rz_part *p = user;
    const char *told = head->linked_etag;
    bool is_sha256 = strlen(told) == 64 && strspn(told, "0123456789abcdef") == 64;
    if (is_sha256 && *p->sha256 && strcmp(told, p->sha256) != 0) {
        (void)rz_fail(err, RZ_EINVALID, "%s: the hub lists SHA-256 %s and sends %s", p->what,
                      p->sha256, told);
        return RZ_HTTP_FAIL;
    }
    if (is_sha256 && !is_hash_known(p))
        memcpy(p->sha256, told, 65);
    if (head->linked_size != RZ_HUB_SIZE_UNKNOWN && p->size != RZ_HUB_SIZE_UNKNOWN &&
        head->linked_size != p->size) {
        (void)rz_fail(err, RZ_EINVALID, "%s: the hub lists %llu bytes and sends %llu", p->what,
                      (unsigned long long)p->size, (unsigned long long)head->linked_size);
        return RZ_HTTP_FAIL;
    }
    return RZ_HTTP_GO;
}

static enum rz_http_verdict again(struct rz_part *p, rz_error *err, const char *why)
{
    (void)rz_fail(err, RZ_ENET, "%s", why);
    return restart(p, err) == RZ_HTTP_GO ? RZ_HTTP_AGAIN : RZ_HTTP_FAIL;
}

/* Remembers what version the bytes are of, before any of them is written. */
static enum rz_http_verdict keep_etag(struct rz_part *p, const char *etag, rz_error *err)
{
    if (!rz_etag_is_strong(etag))
        etag = "";
    if (!strcmp(p->etag, etag))
        return RZ_HTTP_GO;
    memcpy(p->etag, etag, strlen(etag) + 1);
    if (!*etag) {
        unlink(p->etag_path);
        return RZ_HTTP_GO;
    }
    return rz_file_replace(p->etag_path, etag, strlen(etag), err) ? RZ_HTTP_FAIL : RZ_HTTP_GO;
}

static enum rz_http_verdict wrong_size(const struct rz_part *p, uint64_t told, rz_error *err)
{
    (void)rz_fail(err, RZ_EINVALID, "%s: it has %llu bytes, and the server sends %llu", p->what,
                  (unsigned long long)p->size, (unsigned long long)told);
    return RZ_HTTP_FAIL;
}

/* The head of a 206 to our Range. */
static enum rz_http_verdict take_rest(struct rz_part *p, const struct rz_http_head *h,
                                      rz_error *err)
{
    if (p->len == 0) {
        (void)rz_fail(err, RZ_ENET, "%s: the server sends a part, and was asked for the whole",
                      p->what);
        return RZ_HTTP_FAIL;
    }
    p->no_resume = true; /* unless everything about it is right */
    if (!h->has_range || h->range_is_bad || h->range_first != p->len)
        return again(p, err, "the server sends another part than was asked for");
    if (h->range_size != RZ_HUB_SIZE_UNKNOWN &&
        (h->range_last + 1 != h->range_size ||
         (p->size != RZ_HUB_SIZE_UNKNOWN && h->range_size != p->size)))
        return again(p, err, "the server sends a part of a file of another size");
    if (*p->etag && *h->etag && strcmp(p->etag, h->etag) != 0)
        return again(p, err, "the file has changed on the server");
    p->no_resume = false;
    p->was_resumed = true;
    if (p->size == RZ_HUB_SIZE_UNKNOWN)
        p->size = h->range_size;
    return RZ_HTTP_GO;
}

static enum rz_http_verdict part_head(void *user, const struct rz_http_head *h, rz_error *err)
{
    struct rz_part *p = user;
    enum rz_http_verdict verdict = part_hop(p, h, err);
    if (verdict != RZ_HTTP_GO)
        return verdict;
    if (h->code == 416) {
        if (p->len == 0) {
            (void)rz_fail(err, RZ_ENET, "%s: the server answers 416 to a request for all of it",
                          p->what);
            return RZ_HTTP_FAIL;
        }
        return again(p, err, "the server has nothing after what is here");
    }
    if (h->code == 206)
        return take_rest(p, h, err);
    if (p->len > 0 && restart(p, err) != RZ_HTTP_GO)
        return RZ_HTTP_FAIL;
    if (h->content_length != RZ_HUB_SIZE_UNKNOWN && p->size != RZ_HUB_SIZE_UNKNOWN &&
        h->content_length != p->size)
        return wrong_size(p, h->content_length, err);
    if (p->size == RZ_HUB_SIZE_UNKNOWN && !is_hash_known(p))
        p->size = h->content_length;
    return keep_etag(p, h->etag, err);
}

static enum rz_http_verdict part_body(void *user, const char *data, size_t len, rz_error *err)
{
    struct rz_part *p = user;
    if (p->size != RZ_HUB_SIZE_UNKNOWN && len > p->size - p->len) {
        enum rz_http_verdict verdict = wrong_size(p, p->len + len, err);
        return restart(p, NULL) == RZ_HTTP_GO ? verdict : RZ_HTTP_FAIL;
    }
    if (rz_digest_add(&p->digest, data, len, err))
        return RZ_HTTP_FAIL;
    while (len > 0) {
        ssize_t n = pwrite(p->fd, data, len, (off_t)p->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            p->is_hashing = false; /* the digest is ahead of the file */
            return fail_io(p, "written", err);
        }
        p->len += (uint64_t)n;
        data += n;
        len -= (size_t)n;
    }
    return RZ_HTTP_GO;
}

/* The hash is wrong: what was resumed may be to blame, else the server is. */
static enum rz_http_verdict mismatch(struct rz_part *p, const char *hex, rz_error *err)
{
    if (p->was_resumed) {
        p->no_resume = true;
        return again(p, err, "what was here from before was damaged or of another version");
    }
    (void)rz_fail(err, RZ_EINVALID,
                  "%s: what came has the hash %s, the hub lists %s; nothing of it is kept", p->what,
                  hex, *p->sha256 ? p->sha256 : p->git_sha1);
    unlink(p->etag_path);
    unlink(p->partial);
    return RZ_HTTP_FAIL;
}

static enum rz_http_verdict part_end(void *user, rz_error *err)
{
    struct rz_part *p = user;
    char hex[RZ_HUB_SHA256_MAX];
    bool same;
    if (p->size != RZ_HUB_SIZE_UNKNOWN && p->len < p->size) {
        (void)rz_fail(err, RZ_ENET, "the server ended after %llu of %llu bytes",
                      (unsigned long long)p->len, (unsigned long long)p->size);
        return RZ_HTTP_AGAIN;
    }
    if (compare(p, &same, hex, err))
        return RZ_HTTP_FAIL;
    if (!same)
        return mismatch(p, hex, err);
    p->unverified = !is_hash_known(p);
    if (p->digest.kind == RZ_DIGEST_SHA256)
        memcpy(p->sha256, hex, sizeof p->sha256);
    p->size = p->len;
    if (fsync(p->fd))
        return fail_io(p, "written to the disk", err);
    if (rz_rename_synced(p->partial, p->target, err))
        return RZ_HTTP_FAIL;
    unlink(p->etag_path);
    p->done = true;
    close_partial(p);
    return RZ_HTTP_DONE;
}

const struct rz_http_calls rz_part_calls = {
    .begin = part_begin, .hop = part_hop, .head = part_head, .body = part_body, .end = part_end};
