/* perf_counters.c - perf_event_open(2) per thread: the pool's threads exist before the counters do,
 * so they are not inherited but opened one by one. */
#include "base/perf_counters.h"

#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
    const char *name;
    uint32_t type;
    uint64_t config;
} events[RZ_N_COUNTERS] = {
    [RZ_COUNTER_CYCLES] = {"cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES},
    [RZ_COUNTER_INSTRUCTIONS] = {"instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS},
    [RZ_COUNTER_CACHE_MISSES] = {"cache_misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES},
    [RZ_COUNTER_BRANCH_MISSES] = {"branch_misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_MISSES},
    [RZ_COUNTER_PAGE_FAULTS] = {"page_faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS},
    [RZ_COUNTER_CONTEXT_SWITCHES] = {"context_switches", PERF_TYPE_SOFTWARE,
                                     PERF_COUNT_SW_CONTEXT_SWITCHES},
};

const char *rz_counter_name(enum rz_counter counter)
{
    return events[counter].name;
}

static int open_event(enum rz_counter counter, pid_t thread)
{
    struct perf_event_attr a = {
        .type = events[counter].type,
        .size = sizeof a,
        .config = events[counter].config,
        .read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
    };
    a.disabled = 1;
    a.exclude_kernel = events[counter].type == PERF_TYPE_HARDWARE;
    a.exclude_hv = 1;
    return (int)syscall(SYS_perf_event_open, &a, thread, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static void close_event(struct rz_counters *c, int event)
{
    for (size_t i = 0; i < c->n_threads; i++) {
        if (c->fd[event][i] >= 0)
            close(c->fd[event][i]);
        c->fd[event][i] = -1;
    }
}

/* The ids of this process's threads; 0 and errno if there are too many to count. */
static size_t list_threads(pid_t ids[RZ_COUNTER_MAX_THREADS])
{
    DIR *folder = opendir("/proc/self/task");
    if (!folder)
        return 0;
    size_t n = 0;
    const struct dirent *d;
    while ((d = readdir(folder))) {
        long id = strtol(d->d_name, NULL, 10);
        if (id <= 0)
            continue;
        if (n == RZ_COUNTER_MAX_THREADS) {
            n = 0;
            errno = E2BIG;
            break;
        }
        ids[n++] = (pid_t)id;
    }
    closedir(folder);
    return n;
}

void rz_counters_open(struct rz_counters *c)
{
    pid_t ids[RZ_COUNTER_MAX_THREADS] = {0};
    *c = (struct rz_counters){0};
    memset(c->fd, -1, sizeof c->fd);
    errno = 0;
    c->n_threads = list_threads(ids);
    int no_threads = errno ? errno : ESRCH;
    for (int event = 0; event < RZ_N_COUNTERS; event++) {
        c->reason[event] = c->n_threads ? 0 : no_threads;
        for (size_t i = 0; i < c->n_threads && !c->reason[event]; i++) {
            c->fd[event][i] = open_event((enum rz_counter)event, ids[i]);
            if (c->fd[event][i] < 0)
                c->reason[event] = errno;
        }
        if (c->reason[event])
            close_event(c, event);
    }
}

static void control(struct rz_counters *c, unsigned long request)
{
    for (int event = 0; event < RZ_N_COUNTERS; event++) {
        for (size_t i = 0; i < c->n_threads; i++) {
            if (c->fd[event][i] >= 0)
                (void)ioctl(c->fd[event][i], request, 0);
        }
    }
}

void rz_counters_start(struct rz_counters *c)
{
    control(c, PERF_EVENT_IOC_ENABLE);
}

void rz_counters_stop(struct rz_counters *c)
{
    control(c, PERF_EVENT_IOC_DISABLE);
}

void rz_counters_close(struct rz_counters *c)
{
    for (int event = 0; event < RZ_N_COUNTERS; event++)
        close_event(c, event);
}

bool rz_counters_read(const struct rz_counters *c, enum rz_counter counter, double *value)
{
    *value = 0;
    if (c->reason[counter])
        return false;
    uint64_t running = 0;
    for (size_t i = 0; i < c->n_threads; i++) {
        uint64_t v[3]; /* value, time enabled, time running */
        if (read(c->fd[counter][i], v, sizeof v) != (ssize_t)sizeof v)
            return false;
        running += v[2];
        if (v[2])
            *value += (double)v[0] * ((double)v[1] / (double)v[2]);
    }
    /* Open and never scheduled is what some virtual machines answer. */
    return running > 0;
}
