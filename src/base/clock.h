/* clock.h - time that only goes forward, for measuring. */
#ifndef RZ_BASE_CLOCK_H
#define RZ_BASE_CLOCK_H

#include <time.h>

/* Seconds since some fixed moment. */
static inline double rz_now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#endif
