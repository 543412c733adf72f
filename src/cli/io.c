/* io.c - files that the user names. Output goes to a temporary neighbour and is renamed when it is
 * complete, so that nobody ever reads half a file. */
#include "cli/io.h"

#include "base/fail.h"
#include "base/utf8.h"
#include "cli/tensor_container.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_HEADER = 100 << 20 /* of SafeTensors, as its readers have it */
};

static rz_status read_stream(FILE *in, const char *name, struct rz_buf *out, rz_error *err)
{
    char part[1 << 16];
    size_t n;
    while ((n = fread(part, 1, sizeof part, in)) > 0) {
        if (out->len + n > out->max)
            return rz_fail(err, RZ_EUSAGE, "%s is larger than the %zu bytes that are read", name,
                           out->max);
        if (!rz_buf_add(out, part, n))
            return rz_fail_nomem(err, out->len + n, name);
    }
    if (ferror(in))
        return rz_fail(err, RZ_EIO, "%s cannot be read: %s", name, strerror(errno));
    if (!rz_buf_add(out, "", 0)) /* data is a string even if nothing was read */
        return rz_fail_nomem(err, 1, name);
    return RZ_OK;
}

rz_status cli_read_input(const char *path, struct rz_buf *out, rz_error *err)
{
    if (!strcmp(path, "-"))
        return read_stream(stdin, "standard input", out, err);
    FILE *in = fopen(path, "rb");
    if (!in)
        return rz_fail(err, errno == ENOENT || errno == ENOTDIR ? RZ_ENOTFOUND : RZ_EIO,
                       "%s cannot be opened: %s", path, strerror(errno));
    struct stat st;
    rz_status status = RZ_OK;
    if (!fstat(fileno(in), &st) && S_ISDIR(st.st_mode))
        status = rz_fail(err, RZ_ENOTFOUND, "%s is a directory, not a file", path);
    else
        status = read_stream(in, path, out, err);
    fclose(in);
    return status;
}

rz_status cli_check_utf8(const char *text, size_t len, const char *what, rz_error *err)
{
    size_t valid = rz_utf8_valid(text, len);
    if (valid == len)
        return RZ_OK;
    return rz_fail(err, RZ_EFORMAT, "%s is not UTF-8 text: byte 0x%02X at offset %zu is invalid",
                   what, (unsigned)(unsigned char)text[valid], valid);
}

static rz_status open_failed(struct cli_out_file *f, const char *path, rz_error *err)
{
    rz_status status = rz_fail(err, RZ_EIO, "%s cannot be written: %s", path, strerror(errno));
    cli_out_file_abandon(f);
    return status;
}

rz_status cli_check_output(const char *path, rz_error *err)
{
    if (!strcmp(path, "-"))
        return rz_fail(err, RZ_EUSAGE, "this output cannot go to standard output: name a file");
    return RZ_OK;
}

bool cli_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool is_model(const char *path)
{
    uint8_t head[16];
    FILE *f = fopen(path, "rbe");
    size_t n = f ? fread(head, 1, sizeof head, f) : 0;
    if (f)
        fclose(f);
    const enum cli_container kind = cli_container_of(head, n);
    /* Numbers of any kind may look like a SafeTensors header: not with a length like this. */
    return kind == CLI_CONTAINER_SAFETENSORS ? cli_load_le(head, 8) <= MAX_HEADER
                                             : kind != CLI_CONTAINER_UNKNOWN;
}

rz_status cli_check_writable(const char *path, rz_error *err)
{
    RZ_TRY(cli_check_output(path, err));
    struct stat st;
    const bool exists = !stat(path, &st);
    if (exists && S_ISDIR(st.st_mode))
        return rz_fail(err, RZ_EUSAGE, "%s is a folder: name a file", path);
    if (exists && !S_ISREG(st.st_mode))
        return rz_fail(err, RZ_EUSAGE, "%s is no regular file, which this output must be", path);
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (!folder)
        return rz_fail_nomem(err, strlen(path), "a folder's name");
    const int reason = access(folder, W_OK | X_OK) ? errno : 0;
    free(folder);
    if (reason)
        return rz_fail(err, RZ_EIO, "%s cannot be written: %s", path, strerror(reason));
    return RZ_OK;
}

rz_status cli_check_report(const char *path, rz_error *err)
{
    if (!path)
        return RZ_OK;
    struct stat st;
    const bool exists = !stat(path, &st);
    if (exists && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) /* it is written to, not replaced */
        return access(path, W_OK)
                   ? rz_fail(err, RZ_EIO, "%s cannot be written: %s", path, strerror(errno))
                   : RZ_OK;
    RZ_TRY(cli_check_writable(path, err));
    if (exists && is_model(path))
        return rz_fail(err, RZ_EINVALID, "%s is a model, which this output would replace", path);
    return RZ_OK;
}

rz_status cli_out_file_open(struct cli_out_file *f, const char *path, rz_error *err)
{
    struct stat st;
    *f = (struct cli_out_file){0};
    RZ_TRY(cli_check_report(path, err));
    const bool exists = !stat(path, &st);
    /* A link stays one: /dev/stdout is, where that is a file. */
    *f = (struct cli_out_file){.path = exists ? realpath(path, NULL) : strdup(path)};
    if (!f->path)
        return rz_fail_nomem(err, strlen(path), "a file's name");
    if (exists && !S_ISREG(st.st_mode)) {
        f->stream = fopen(path, "wb");
        return f->stream ? RZ_OK : open_failed(f, path, err);
    }
    if (asprintf(&f->temp, "%s.XXXXXX", f->path) < 0) {
        f->temp = NULL;
        cli_out_file_abandon(f);
        return rz_fail_nomem(err, strlen(path), "a file's name");
    }
    int fd = mkostemp(f->temp, O_CLOEXEC);
    if (fd < 0) {
        free(f->temp); /* there is no such file to remove */
        f->temp = NULL;
        return open_failed(f, path, err);
    }
    f->stream = fdopen(fd, "wb");
    if (!f->stream) {
        close(fd);
        return open_failed(f, path, err);
    }
    return RZ_OK;
}

rz_status cli_out_file_commit(struct cli_out_file *f, rz_error *err)
{
    errno = EIO;
    bool ok = !fflush(f->stream) && !ferror(f->stream);
    if (ok && f->temp) {
        mode_t mask = umask(0);
        umask(mask);
        ok = !fchmod(fileno(f->stream), 0666 & ~mask) && !fsync(fileno(f->stream));
    }
    int reason = errno;
    if (fclose(f->stream) && ok) {
        ok = false;
        reason = errno;
    }
    f->stream = NULL;
    if (ok && f->temp && rename(f->temp, f->path)) {
        ok = false;
        reason = errno;
    }
    rz_status status = RZ_OK;
    if (ok) {
        free(f->temp);
        f->temp = NULL;
    } else {
        status = rz_fail(err, RZ_EIO, "%s cannot be written: %s", f->path, strerror(reason));
    }
    cli_out_file_abandon(f);
    return status;
}

void cli_out_file_abandon(struct cli_out_file *f)
{
    if (f->stream)
        fclose(f->stream);
    if (f->temp)
        unlink(f->temp);
    free(f->temp);
    free(f->path);
    *f = (struct cli_out_file){0};
}

const char *cli_bytes(char text[CLI_BYTES_MAX], uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    if (bytes < 1024) {
        snprintf(text, CLI_BYTES_MAX, "%u B", (unsigned)bytes);
        return text;
    }
    double v = (double)bytes / 1024;
    size_t i = 0;
    for (; v >= 1024 && i + 1 < RZ_ARRAY_LEN(units); i++)
        v /= 1024;
    snprintf(text, CLI_BYTES_MAX, "%.*f %s", v < 10 ? 2 : v < 100 ? 1 : 0, v, units[i]);
    return text;
}
