/* packed.c - the memory of packed weights: one anonymous mapping for all, in the order in which
 * they were loaded, touched as they are packed. Huge pages, since decoding reads all of it. */
#include "backend/cpu/packed.h"

#include "backend/cpu/memory.h"
#include "base/checked.h"
#include "base/fail.h"
#include "quant/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    PAGE_BYTES = 4096,
    HUGE_PAGE_BYTES = 2 << 20,
    COPY_STEPS = 8,  /* tokens over which copies of the file's packed weights are spread */
    MAX_PERCENT = 70 /* of the memory available, for all packed weights */
};

static size_t matrix_bytes(const struct rz_weight *w)
{
    return (size_t)w->n_rows * w->row_bytes;
}

rz_status rz_cpu_weights_add(struct cpu_backend *c, struct rz_weight *w, bool mapped, rz_error *err)
{
    c->any_wide |= c->k.matmul_wide[w->dtype] != NULL;
    if (!c->k.matmul_packed[w->dtype] && !w->packed)
        return RZ_OK;
    if (!c->weights && !(c->weights = calloc(1, sizeof *c->weights)))
        return rz_fail_nomem(err, sizeof *c->weights, "the weights");
    struct cpu_weights *all = c->weights;
    size_t bytes = sizeof(struct cpu_packed) + w->n_stack;
    struct cpu_packed *p = calloc(1, bytes);
    if (!p)
        return rz_fail_nomem(err, bytes, "a weight");
    p->matrix_bytes = rz_packed_bytes(w->dtype, w->n_rows, w->n_cols);
    p->w = *w;
    p->mapped = mapped;
    p->at = all->bytes;
    p->next = all->first;
    all->first = p;
    w->impl = p;
    /* Products that take rows only unpack some at a time. */
    if (!c->k.matmul_packed[w->dtype])
        return RZ_OK;
    if (w->packed)
        p->copy_at = (uint8_t)(1 + all->n++ % COPY_STEPS);
    all->from_file |= w->packed;
    if (!all->settled)
        all->bytes += rz_align_up(p->matrix_bytes * w->n_stack, 64);
    return RZ_OK;
}

/* The number at the start of a file, or after key; false if there is none ("max"). */
static bool read_number(const char *path, const char *key, uint64_t *value)
{
    char line[128];
    unsigned long long number;
    bool found = false;
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    while (!found && fgets(line, sizeof line, f)) {
        size_t n = strlen(key);
        found = strncmp(line, key, n) == 0 && sscanf(line + n, "%llu", &number) == 1;
    }
    fclose(f);
    if (found)
        *value = number;
    return found;
}

static void lower_to(uint64_t *value, uint64_t limit)
{
    *value = *value < limit ? *value : limit;
}

/* What this process could still use: the system's, and its control group's if that is less. The
 * file cache counts as available in both. */
static uint64_t memory_available(void)
{
    uint64_t available = UINT64_MAX, limit;
    if (read_number("/proc/meminfo", "MemAvailable:", &limit))
        available = limit << 10;
    if (read_number("/sys/fs/cgroup/memory.max", "", &limit))
        lower_to(&available, limit);
    if (read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes", "", &limit))
        lower_to(&available, limit);
    return available;
}

static bool reserve_memory(struct cpu_backend *c, struct cpu_weights *all)
{
    void *p;
    rz_error ignored;
    if (c->base.no_packing || all->bytes == 0 ||
        all->bytes / MAX_PERCENT > memory_available() / 100)
        return false;
    /* Room to begin at a huge page. */
    if (rz_cpu_alloc(&c->base, all->bytes + HUGE_PAGE_BYTES, &p, &ignored))
        return false;
    madvise(p, all->bytes + HUGE_PAGE_BYTES, MADV_HUGEPAGE);
    all->memory = p;
    return true;
}

static void place_weights(const struct cpu_backend *c, const struct cpu_weights *all)
{
    uint8_t *base = all->memory + (-(uintptr_t)all->memory & (HUGE_PAGE_BYTES - 1));
    for (struct cpu_packed *p = all->first; p; p = p->next)
        if (c->k.matmul_packed[p->w.dtype])
            p->data = base + p->at;
}

void rz_cpu_weights_settle(struct cpu_backend *c)
{
    struct cpu_weights *all = c->weights;
    if (!all)
        return;
    if (!all->settled && reserve_memory(c, all))
        place_weights(c, all);
    all->settled = true;
    c->base.packed = all->memory || all->from_file;
    for (const struct cpu_packed *p = all->first; p; p = p->next) {
        const uint32_t rows = c->k.matmul_wide[p->w.dtype] ? RZ_WIDE_ROWS : RZ_STRIP_ROWS;
        const size_t strips = rows * rz_packed_row_bytes(p->w.dtype, p->w.n_cols);
        const bool in_file = p->w.packed && c->k.matmul_packed[p->w.dtype];
        if (!p->data && !in_file && strips > c->strip_bytes)
            c->strip_bytes = strips;
    }
}

static size_t index_in_stack(const struct cpu_packed *p, const struct rz_weight *w)
{
    return (size_t)((const uint8_t *)w->data - (const uint8_t *)p->w.data) / matrix_bytes(w);
}

uint8_t *rz_cpu_packed_data(const struct rz_weight *w, bool *ready)
{
    const struct cpu_packed *p = w->impl;
    if (!p || (!p->data && !w->packed))
        return NULL;
    const size_t i = index_in_stack(p, w);
    *ready = !p->data || p->uses[i] != p->copy_at;
    if (w->packed && (!p->data || p->uses[i] < p->copy_at))
        return (uint8_t *)(uintptr_t)w->data; /* ready: nobody writes to it */
    return p->data + i * p->matrix_bytes;
}

void rz_cpu_packed_drop(const struct rz_weight *w, uint32_t begin, uint32_t end)
{
    const struct cpu_packed *p = w->impl;
    if (!p->mapped)
        return;
    /* Whole pages inside of the rows; what reads them again gets them from the file. */
    const uintptr_t mask = PAGE_BYTES - 1, data = (uintptr_t)w->data;
    uintptr_t first = (data + begin * w->row_bytes + mask) & ~mask;
    uintptr_t last = (data + end * w->row_bytes) & ~mask;
    if (first < last)
        madvise((void *)first, last - first, MADV_DONTNEED);
}

void rz_cpu_packed_done(const struct rz_weight *w)
{
    struct cpu_packed *p = w->impl;
    if (!p || !p->data)
        return;
    uint8_t *uses = &p->uses[index_in_stack(p, w)];
    if (*uses == p->copy_at)
        rz_cpu_packed_drop(w, 0, w->n_rows);
    if (*uses <= p->copy_at)
        ++*uses;
}

void rz_cpu_weights_free(struct cpu_weights **weights)
{
    struct cpu_weights *all = *weights;
    if (!all)
        return;
    while (all->first) {
        struct cpu_packed *p = all->first;
        all->first = p->next;
        free(p);
    }
    if (all->memory)
        munmap(all->memory, all->bytes + HUGE_PAGE_BYTES);
    free(all);
    *weights = NULL;
}
