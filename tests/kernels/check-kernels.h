/* check-kernels.h - what the parts of check-kernels share.
 *
 * For each CPU level that this machine has, every slot of the kernel table that differs from the
 * level below is compared with results computed here in double. Buffers are exactly sized: a
 * guard page follows each, canaries surround it. Bounds are derived, not tuned: see each check. */
#ifndef RZ_TESTS_KERNELS_CHECK_KERNELS_H
#define RZ_TESTS_KERNELS_CHECK_KERNELS_H

#include "base/rng.h"
#include "kernels/kernels.h"

#include <stdarg.h>

struct check {
    struct rz_kernels now, below; /* the level being checked and the one under it */
    const char *level;
    const char *filter; /* only slots whose name contains this, or NULL */
    struct rz_rng rng;
    uint64_t seed;
    unsigned long n_checks, n_failed;
    bool quick; /* under an emulator: fewer sizes */
};

/* True if the slot is to be checked: it changed with this level and passes the filter. */
bool ck_wants(const struct check *c, const char *slot, bool changed);

/* Counts a check, and a failure with its message if !ok. Returns ok. */
bool ck_expect(struct check *c, bool ok, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* |got - want| <= bound, or both NaN, or the same infinity. */
bool ck_near(float got, double want, double bound);

/* An exactly sized buffer: the byte after its end (rounded up to align) is on a guard page. */
struct ck_buf {
    void *data;
    size_t bytes;
    uint8_t *map;
    size_t map_bytes;
};
struct ck_buf ck_alloc(size_t bytes, size_t align);
/* What it holds; never NULL. */
void *ck_data(const struct ck_buf *b) __attribute__((returns_nonnull));
/* False if a canary around the buffer changed. */
bool ck_intact(const struct ck_buf *b);
void ck_free(struct ck_buf *b);

/* Random numbers of the run. */
uint64_t ck_below(struct check *c, uint64_t n);
float ck_uniform(struct check *c, float lo, float hi);
float ck_normal(struct check *c);

/* What a block of weights is filled with. */
enum ck_weights {
    CK_W_RANDOM,
    CK_W_ONES,      /* every code bit set */
    CK_W_ZEROS,     /* every code bit clear */
    CK_W_HUGE,      /* random codes, largest finite scales */
    CK_W_SUBNORMAL, /* random codes, subnormal scales */
    CK_N_WEIGHTS
};
/* n_blocks blocks of type at w. */
void ck_fill_weights(struct check *c, rz_dtype type, enum ck_weights kind, uint8_t *w,
                     size_t n_blocks);

/* Block i of `from` to block `at` of `to`. */
void ck_copy_factors(const struct rz_act_factors *to, size_t at, const struct rz_act_factors *from,
                     size_t i);

void check_pack(struct check *c);
void check_matmul(struct check *c);
void check_many(struct check *c);
void check_wide(struct check *c);
void check_rows(struct check *c);
void check_attend(struct check *c);

/* Prints ns, GB/s and GFLOP/s per slot and level. */
void bench_kernels(const char *filter, const char *only_level);

/* Calls fn for each level that the CPU has, from the scalar one up. */
typedef void ck_level_fn(void *ctx, unsigned flags, unsigned flags_below, const char *name);
void ck_each_level(ck_level_fn *fn, void *ctx);

#endif
