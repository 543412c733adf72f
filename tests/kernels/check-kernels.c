/* check-kernels.c - compares the kernels of every CPU level with references; see check-kernels.h.
 *
 *   check-kernels [--seed N] [--filter NAME] [--level LEVEL] [--quick] [--bench]
 *
 * A failure prints the slot, the level, the sizes and the seed that repeats it. */
#include "check-kernels.h"

#include "base/cpu.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What a kernel that reads outside of its buffers was doing: the guard page ends the program. */
static char running[160] = "nothing\n";

static void on_segv(int signal)
{
    (void)signal;
    static const char text[] = "FAILED: touched a guard page: ";
    if (write(STDOUT_FILENO, text, sizeof text - 1) > 0 &&
        write(STDOUT_FILENO, running, strlen(running)) > 0)
        _exit(1);
    _exit(1);
}

bool ck_wants(const struct check *c, const char *slot, bool changed)
{
    if (!changed || (c->filter && !strstr(slot, c->filter)))
        return false;
    snprintf(running, sizeof running, "%s %s (--seed %llu)\n", c->level, slot,
             (unsigned long long)c->seed);
    return true;
}

bool ck_expect(struct check *c, bool ok, const char *format, ...)
{
    c->n_checks++;
    if (ok)
        return true;
    if (c->n_failed++ < 20) {
        va_list args;
        va_start(args, format);
        printf("FAILED %s: ", c->level);
        vprintf(format, args);
        printf(" (--seed %llu)\n", (unsigned long long)c->seed);
        va_end(args);
    }
    return false;
}

bool ck_near(float got, double want, double bound)
{
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got);
    if (isinf(got) || isinf((float)want))
        return isinf(got) && got * want > 0 && fabs(want) + bound >= 0x1.fffffep127;
    return fabs((double)got - want) <= bound;
}

uint64_t ck_below(struct check *c, uint64_t n)
{
    return rz_rng_below(&c->rng, n);
}

float ck_uniform(struct check *c, float lo, float hi)
{
    return lo + (hi - lo) * (float)rz_rng_unit(&c->rng);
}

/* Near enough to normal: the sum of twelve uniforms has variance 1. */
float ck_normal(struct check *c)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += rz_rng_unit(&c->rng);
    return (float)sum;
}

void ck_each_level(ck_level_fn *fn, void *ctx)
{
    static const struct {
        unsigned mask;
        const char *name;
    } levels[] = {
        {0, "scalar"},
        {RZ_CPU_AVX2, "avx2"},
        {RZ_CPU_AVX2 | RZ_CPU_AVX512, "avx512"},
        {RZ_CPU_AVX2 | RZ_CPU_AVX512 | RZ_CPU_AVX512_BF16, "avx512+bf16"},
        {RZ_CPU_ALL, "amx"},
    };
    unsigned below = 0;
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        unsigned flags = rz_cpu_detect(levels[i].mask);
        if (flags != levels[i].mask)
            continue;
        fn(ctx, flags, below, levels[i].name);
        below = flags;
    }
}

struct run {
    struct check c;
    const char *only_level;
    unsigned long n_checks, n_failed;
};

static void check_level(void *ctx, unsigned flags, unsigned below, const char *name)
{
    struct run *r = ctx;
    if (r->only_level && strcmp(r->only_level, name) != 0)
        return;
    struct check *c = &r->c;
    rz_kernels_init(&c->now, flags);
    if (flags)
        rz_kernels_init(&c->below, below);
    else
        memset(&c->below, 0, sizeof c->below); /* the references are checked too */
    c->level = name;
    c->rng.state = c->seed;
    c->n_checks = c->n_failed = 0;
    check_pack(c);
    check_matmul(c);
    check_many(c);
    check_wide(c);
    check_rows(c);
    check_attend(c);
    printf("%-12s %8lu checks, %lu failed\n", name, c->n_checks, c->n_failed);
    r->n_checks += c->n_checks;
    r->n_failed += c->n_failed;
}

int main(int argc, char **argv)
{
    struct run r = {.c = {.seed = (uint64_t)time(NULL)}};
    bool bench = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bench") == 0)
            bench = true;
        else if (strcmp(argv[i], "--quick") == 0)
            r.c.quick = true;
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            r.c.seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc)
            r.c.filter = argv[++i];
        else if (strcmp(argv[i], "--level") == 0 && i + 1 < argc)
            r.only_level = argv[++i];
        else {
            printf("usage: check-kernels [--seed N] [--filter NAME] [--level LEVEL] [--quick] "
                   "[--bench]\n");
            return 2;
        }
    }
    if (bench) {
        bench_kernels(r.c.filter, r.only_level);
        return 0;
    }
    signal(SIGSEGV, on_segv);
    signal(SIGBUS, on_segv);
    printf("seed %llu, this CPU: %s\n", (unsigned long long)r.c.seed,
           rz_cpu_level_name(rz_cpu_detect(RZ_CPU_ALL)));
    fflush(stdout);
    ck_each_level(check_level, &r);
    if (!r.n_checks)
        fputs("check-kernels: nothing was checked: this CPU has no such level, or no slot has that "
              "name\n",
              stderr);
    return r.n_failed || !r.n_checks ? 1 : 0;
}
