/* map.c - read-only file mapping over mmap(2). */
#include "base/map.h"

#include "base/fail.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static rz_status map_fd(struct rz_map *map, int fd, const char *path, rz_error *err)
{
    struct stat st;
    if (fstat(fd, &st))
        return rz_fail(err, RZ_EIO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return rz_fail(err, RZ_ENOTFOUND, "%s: not a regular file", path);
    map->len = (size_t)st.st_size;
    if (map->len == 0)
        return RZ_OK;
    void *p = mmap(NULL, map->len, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return rz_fail(err, RZ_EIO, "%s: cannot map %zu bytes: %s", path, map->len,
                       strerror(errno));
    map->data = p;
    return RZ_OK;
}

rz_status rz_map_open(struct rz_map *map, const char *path, rz_error *err)
{
    *map = (struct rz_map){0};
    /* O_NONBLOCK: opening a FIFO that was given as a model must not hang. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        rz_status code = errno == ENOENT || errno == ENOTDIR ? RZ_ENOTFOUND : RZ_EIO;
        return rz_fail(err, code, "%s: %s", path, strerror(errno));
    }
    rz_status status = map_fd(map, fd, path, err);
    close(fd);
    return status;
}

void rz_map_close(struct rz_map *map)
{
    if (map->data)
        munmap((void *)(uintptr_t)map->data, map->len);
    *map = (struct rz_map){0};
}
