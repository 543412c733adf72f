/* bench_stats.c - median, its interval by order statistics, coefficient of variation. Nothing is
 * assumed of the distribution: times on a shared machine are skewed and have outliers. */
#include "base/fail.h"

#include <math.h>
#include <realizar/bench.h>

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The interval from the k-th smallest to the k-th largest of n samples holds the median unless
 * fewer than k samples are below it, or above: probability 2 * P(Binomial(n, 1/2) < k). Returns the
 * largest k with at least the wanted coverage, 1 if there is none. */
static size_t interval_rank(size_t n, double wanted, double *coverage)
{
    double ln_half_n = -(double)n * log(2.0);
    double tail = 0;
    size_t k = 0;
    *coverage = 0;
    for (size_t i = 0; 2 * (i + 1) <= n; i++) {
        double ln_choose =
            lgamma((double)n + 1) - lgamma((double)i + 1) - lgamma((double)(n - i) + 1);
        tail += exp(ln_choose + ln_half_n);
        double c = 1 - 2 * tail;
        if (c < wanted && k > 0)
            break;
        k = i + 1;
        *coverage = c;
        if (c < wanted)
            break;
    }
    return k ? k : 1;
}

void rz_stats_of(double *samples, size_t n, rz_stats *out)
{
    RZ_ASSERT(n >= 1);
    qsort(samples, n, sizeof *samples, ascending);
    *out = (rz_stats){.n = n, .min = samples[0], .max = samples[n - 1]};
    out->median = n % 2 ? samples[n / 2] : (samples[n / 2 - 1] + samples[n / 2]) / 2;
    size_t k = interval_rank(n, 0.95, &out->coverage);
    out->lo = samples[k - 1];
    out->hi = samples[n - k];
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        sum += samples[i];
    out->mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (samples[i] - out->mean) * (samples[i] - out->mean);
    if (n > 1 && out->mean != 0)
        out->cv = sqrt(squares / (double)(n - 1)) / fabs(out->mean);
}

double rz_quantile(const double *sorted, size_t n, double q)
{
    RZ_ASSERT(n >= 1 && q >= 0 && q <= 1);
    double rank = ceil(q * (double)n);
    size_t i = rank < 1 ? 0 : (size_t)rank - 1;
    return sorted[i < n ? i : n - 1];
}
