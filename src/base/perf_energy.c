/* perf_energy.c - RAPL package counters in powercap's folders: Linux,
 * Documentation/power/powercap/powercap.rst. */
#include "base/perf_counters.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool read_u64(const char *path, uint64_t *value)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    unsigned long long v;
    bool ok = fscanf(f, "%llu", &v) == 1;
    fclose(f);
    if (ok)
        *value = v;
    else
        errno = EIO;
    return ok;
}

/* "intel-rapl:0" is a package; "intel-rapl:0:1" is a part of it, which its package counts. The name
 * is the same on AMD. */
static bool is_package(const char *name)
{
    const char *colon = strchr(name, ':');
    return strncmp(name, "intel-rapl:", 11) == 0 && !strchr(colon + 1, ':');
}

void rz_energy_open(struct rz_energy *e, const char *folder)
{
    *e = (struct rz_energy){0};
    DIR *dir = opendir(folder);
    if (!dir) {
        e->reason = errno;
        return;
    }
    e->reason = ENOENT;
    const struct dirent *d;
    while (e->n < RZ_ENERGY_MAX_PACKAGES && (d = readdir(dir))) {
        char path[sizeof e->path[0] + 64];
        uint64_t now;
        if (!is_package(d->d_name))
            continue;
        int n = snprintf(path, sizeof path, "%s/%s/max_energy_range_uj", folder, d->d_name);
        if (n < 0 || (size_t)n >= sizeof path || !read_u64(path, &e->range[e->n])) {
            e->reason = errno;
            continue;
        }
        n = snprintf(e->path[e->n], sizeof e->path[0], "%s/%s/energy_uj", folder, d->d_name);
        if (n < 0 || (size_t)n >= sizeof e->path[0] || !read_u64(e->path[e->n], &now)) {
            e->reason = errno;
            continue;
        }
        e->n++;
    }
    closedir(dir);
    if (e->n)
        e->reason = 0;
}

void rz_energy_start(struct rz_energy *e)
{
    for (size_t i = 0; i < e->n; i++) {
        if (!read_u64(e->path[i], &e->start[i]))
            e->start[i] = UINT64_MAX;
    }
}

bool rz_energy_read(const struct rz_energy *e, double *joules)
{
    *joules = 0;
    for (size_t i = 0; i < e->n; i++) {
        uint64_t now;
        if (e->start[i] == UINT64_MAX || !read_u64(e->path[i], &now))
            return false;
        /* It wraps once in minutes at the soonest; a run between two reads is shorter. */
        uint64_t used = now >= e->start[i] ? now - e->start[i] : now + e->range[i] - e->start[i];
        *joules += (double)used * 1e-6;
    }
    return e->n > 0;
}
