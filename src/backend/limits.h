/* limits.h - what the machine under a backend can do at most, measured on the backend's own
 * threads. */
#ifndef RZ_BACKEND_LIMITS_H
#define RZ_BACKEND_LIMITS_H

#include "backend/backend.h"

struct rz_backend_limits {
    double read_bytes_per_s;
    /* Multiplies and adds per second; name NULL and 0 where the level has no such instruction. */
    struct {
        const char *name; /* static */
        double ops_per_s;
    } f32, bf16, int8;
};

/* Reads a buffer of working_set bytes over and over on all threads, and multiplies. Every figure is
 * the best of several short passes, since it is to be a limit. Takes about a third of a second.
 * Errors: RZ_ENOMEM. */
RZ_MUST_USE rz_status rz_backend_cpu_limits(struct rz_backend *b, size_t working_set,
                                            struct rz_backend_limits *out, rz_error *err);

/* The same reads now and then, with a buffer that stays. */
struct rz_backend_reads;
RZ_MUST_USE rz_status rz_backend_cpu_reads_new(struct rz_backend_reads **out, struct rz_backend *b,
                                               size_t working_set, rz_error *err);
/* Bytes per second: the best pass of some 60 ms, at least three. */
double rz_backend_cpu_reads_now(struct rz_backend_reads *reads);
size_t rz_backend_cpu_reads_bytes(const struct rz_backend_reads *reads);
void rz_backend_cpu_reads_free(struct rz_backend_reads **reads);

#endif
