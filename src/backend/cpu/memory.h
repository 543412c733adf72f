/* memory.h - the CPU backend's allocations. */
#ifndef RZ_BACKEND_CPU_MEMORY_H
#define RZ_BACKEND_CPU_MEMORY_H

#include "backend/cpu/cpu.h"

/* Zeroed pages, mapped on first touch: reserving more than is used costs address space only. */
rz_status rz_cpu_alloc(struct rz_backend *b, size_t bytes, void **out, rz_error *err);
void rz_cpu_release(struct rz_backend *b, void *p, size_t bytes);
void rz_cpu_use_large_pages(struct rz_backend *b, void *p, size_t bytes);
rz_status rz_cpu_reserve(struct rz_backend *b, const struct rz_backend_need *need, rz_error *err);

#endif
