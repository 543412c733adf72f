/* out_file.c - a file that appears under its name only when it is whole.
 *
 * Invariant: fd >= 0 exactly while the part file exists and is ours, locked; written is its append
 * position. The data is synced before the rename and the folder after it, so that neither a killed
 * process nor a machine that lost power leaves half a file under the name. */
#include "formats/out_file.h"

#include "base/checked.h"
#include "base/fail.h"
#include "formats/out_temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    /* Linux moves at most 2^31 - 4096 bytes per call. */
    MAX_WRITE_BYTES = 1 << 30,
    FLUSH_BYTES = 64 << 20, /* that are sent to the disk while more are made */
    ZEROS_BYTES = 4096
};

struct rz_out_file {
    char *path, *temporary;
    int fd;
    bool sealed;
    uint64_t written, reserved, flushed;
};

rz_status rz_out_file_new(struct rz_out_file **out, const char *path, rz_error *err)
{
    struct stat st;
    *out = NULL;
    /* A rename onto a device or a directory's name would destroy more than a file. */
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return rz_fail(err, RZ_EUSAGE, "%s: exists and is not a regular file", path);
    struct rz_out_file *f = calloc(1, sizeof *f);
    if (!f)
        return rz_fail_nomem(err, sizeof *f, "an output file");
    f->fd = -1;
    f->path = strdup(path);
    rz_status status = f->path ? RZ_OK : rz_fail_nomem(err, strlen(path) + 1, "a file name");
    if (!status) {
        rz_temporary_clean(path);
        status = rz_temporary_new(path, false, &f->temporary, &f->fd, err);
    }
    if (status)
        rz_out_file_free(&f);
    *out = f;
    return status;
}

static void abandon(struct rz_out_file *f)
{
    if (f->fd < 0)
        return;
    close(f->fd);
    unlink(f->temporary);
    f->fd = -1;
}

void rz_out_file_free(struct rz_out_file **file)
{
    if (!file || !*file)
        return;
    struct rz_out_file *f = *file;
    abandon(f);
    free(f->temporary);
    free(f->path);
    free(f);
    *file = NULL;
}

const char *rz_out_file_path(const struct rz_out_file *f)
{
    return f->path;
}

rz_status rz_out_file_reserve(struct rz_out_file *f, uint64_t bytes, rz_error *err)
{
    /* Not posix_fallocate: where the file system cannot, that writes every block. */
    if (bytes == 0)
        return RZ_OK;
    if (fallocate(f->fd, 0, 0, (off_t)bytes) == 0) {
        f->reserved = bytes;
        return RZ_OK;
    }
    if (errno != ENOSPC && errno != EFBIG)
        return RZ_OK;
    return rz_fail(err, RZ_EIO, "%s: cannot write %llu bytes: %s", f->path,
                   (unsigned long long)bytes, strerror(errno));
}

rz_status rz_out_file_write(struct rz_out_file *f, const void *data, size_t len, rz_error *err)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = write(f->fd, p, rz_min_size(len, MAX_WRITE_BYTES));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return rz_fail(err, RZ_EIO, "%s: cannot write: %s", f->path, strerror(errno));
        p += n;
        len -= (size_t)n;
        f->written += (uint64_t)n;
    }
    /* A hint: the sync at the end does it all, but then nothing else would be going on. */
    if (f->written - f->flushed >= FLUSH_BYTES) {
        (void)sync_file_range(f->fd, (off_t)f->flushed, (off_t)(f->written - f->flushed),
                              SYNC_FILE_RANGE_WRITE);
        f->flushed = f->written;
    }
    return RZ_OK;
}

rz_status rz_out_file_zeros(struct rz_out_file *f, size_t n, rz_error *err)
{
    static const char zeros[ZEROS_BYTES];
    while (n > 0) {
        size_t step = rz_min_size(n, sizeof zeros);
        RZ_TRY(rz_out_file_write(f, zeros, step, err));
        n -= step;
    }
    return RZ_OK;
}

uint64_t rz_out_file_bytes(const struct rz_out_file *f)
{
    return f->written;
}

rz_status rz_out_file_patch(struct rz_out_file *f, uint64_t at, const void *data, size_t len,
                            rz_error *err)
{
    const char *p = data;
    RZ_ASSERT(at <= f->written && len <= f->written - at);
    while (len > 0) {
        ssize_t n = pwrite(f->fd, p, rz_min_size(len, MAX_WRITE_BYTES), (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return rz_fail(err, RZ_EIO, "%s: cannot write: %s", f->path, strerror(errno));
        p += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return RZ_OK;
}

/* A folder that cannot be synced has still been renamed in: no failure. */
static void sync_folder(const char *path)
{
    char folder[4096] = ".";
    const char *slash = strrchr(path, '/');
    if (slash) {
        size_t len = slash == path ? 1 : (size_t)(slash - path);
        if (len >= sizeof folder)
            return;
        memcpy(folder, path, len);
        folder[len] = '\0';
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

rz_status rz_out_file_seal(struct rz_out_file *f, rz_error *err)
{
    RZ_ASSERT(f->fd >= 0);
    if (f->sealed)
        return RZ_OK;
    bool cut = f->reserved > f->written && ftruncate(f->fd, (off_t)f->written) != 0;
    /* EINVAL: a file system that has no sync. */
    if (cut || (fsync(f->fd) != 0 && errno != EINVAL)) {
        rz_status status = rz_fail(err, RZ_EIO, "%s: cannot write: %s", f->path, strerror(errno));
        abandon(f);
        return status;
    }
    f->sealed = true;
    return RZ_OK;
}

const char *rz_out_file_temporary(const struct rz_out_file *f)
{
    return f->temporary;
}

rz_status rz_out_file_finish(struct rz_out_file *f, rz_error *err)
{
    RZ_TRY(rz_out_file_seal(f, err));
    if (rename(f->temporary, f->path)) {
        rz_status status = rz_fail(err, RZ_EIO, "%s: cannot write: %s", f->path, strerror(errno));
        abandon(f);
        return status;
    }
    int fd = f->fd;
    f->fd = -1;
    if (close(fd))
        return rz_fail(err, RZ_EIO, "%s: cannot write: %s", f->path, strerror(errno));
    sync_folder(f->path);
    return RZ_OK;
}
