/* map.c - read-only file mapping over mmap(2). */
#include "base/map.h"

#include "base/fail.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
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

/* ---- touching ---- */

enum {
    TOUCH_STEP = 64 << 10, /* what one fault brings, by the kernel's default */
    MIN_TOUCHED = 16 << 20 /* below, a thread costs more than it saves */
};

struct rz_map_toucher {
    pthread_t thread;
    const uint8_t *begin, *end;
    atomic_bool stop;
};

/* By reading: MADV_POPULATE_READ holds the lock that every mmap of other threads waits for, and was
 * slower (1.5B model, start to first token: 172 ms where this takes 149). */
static void *touch(void *ctx)
{
    const struct rz_map_toucher *t = ctx;
    volatile const uint8_t *p = t->begin;
    for (; p < t->end && !atomic_load(&t->stop); p += TOUCH_STEP)
        (void)*p;
    return NULL;
}

void rz_map_touch(struct rz_map *map, size_t begin, size_t end)
{
    const long page = sysconf(_SC_PAGESIZE), n_pages = sysconf(_SC_PHYS_PAGES);
    if (map->toucher || page <= 0 || n_pages <= 0 || end > map->len || begin >= end)
        return;
    begin -= begin % (size_t)page;
    if (end - begin < MIN_TOUCHED || (end - begin) / (size_t)page > (size_t)n_pages / 2)
        return;
    struct rz_map_toucher *t = calloc(1, sizeof *t);
    if (!t)
        return;
    t->begin = map->data + begin;
    t->end = map->data + end;
    /* Signals are for the threads that the program knows of, but for that of a page that is gone.
     */
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&t->thread, NULL, touch, t)) {
        free(t);
        t = NULL;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    map->toucher = t;
}

static void end_touching(struct rz_map_toucher *t)
{
    if (!t)
        return;
    atomic_store(&t->stop, true);
    pthread_join(t->thread, NULL);
    free(t);
}

void rz_map_close(struct rz_map *map)
{
    end_touching(map->toucher);
    if (map->data)
        munmap((void *)(uintptr_t)map->data, map->len);
    *map = (struct rz_map){0};
}
