/* perf_counters.h - the CPU's event counters over all threads of this process (perf_event_open(2)),
 * and the energy counters of its packages (RAPL). Either may be missing: virtual machines often
 * have none, and the kernel may refuse them; the reader then says why. */
#ifndef RZ_BASE_PERF_COUNTERS_H
#define RZ_BASE_PERF_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rz_counter {
    RZ_COUNTER_CYCLES,
    RZ_COUNTER_INSTRUCTIONS,
    RZ_COUNTER_CACHE_MISSES, /* of the last level */
    RZ_COUNTER_BRANCH_MISSES,
    RZ_COUNTER_PAGE_FAULTS,
    RZ_COUNTER_CONTEXT_SWITCHES,
    RZ_N_COUNTERS
};

enum {
    RZ_COUNTER_MAX_THREADS = 32 /* of more threads no counters are opened: files are limited */
};

/* fd -1: not open. */
struct rz_counters {
    int fd[RZ_N_COUNTERS][RZ_COUNTER_MAX_THREADS];
    size_t n_threads;
    int reason[RZ_N_COUNTERS]; /* errno of a counter that could not be opened, else 0 */
};

const char *rz_counter_name(enum rz_counter counter); /* "cycles" ... */

/* Opens what can be opened, for the threads that are there now; counting starts stopped. */
void rz_counters_open(struct rz_counters *c);
void rz_counters_start(struct rz_counters *c);
void rz_counters_stop(struct rz_counters *c);
void rz_counters_close(struct rz_counters *c);

/* Events between starts and stops, all threads together; where a counter had to share the hardware,
 * scaled to the whole time. False: it is not readable here. */
bool rz_counters_read(const struct rz_counters *c, enum rz_counter counter, double *value);

/* ---- energy ---- */

enum {
    RZ_ENERGY_MAX_PACKAGES = 16
};

struct rz_energy {
    char path[RZ_ENERGY_MAX_PACKAGES][256]; /* of each package's energy_uj */
    uint64_t range[RZ_ENERGY_MAX_PACKAGES]; /* the counter wraps here, microjoules */
    uint64_t start[RZ_ENERGY_MAX_PACKAGES];
    size_t n;
    int reason; /* errno if n is 0 */
};

/* Finds the packages in folder ("/sys/class/powercap") whose counters can be read. */
void rz_energy_open(struct rz_energy *e, const char *folder);
void rz_energy_start(struct rz_energy *e);
/* Joules since the start, all packages; false: not readable. */
bool rz_energy_read(const struct rz_energy *e, double *joules);

#endif
