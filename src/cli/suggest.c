/* suggest.c - the nearest known word to a mistyped one: optimal string alignment distance (Damerau
 * 1964, without edits inside a swapped pair). */
#include "cli/cli.h"

#include <string.h>

enum {
    WORD_MAX = 32
};

static unsigned min_unsigned(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned cli_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    if (n > WORD_MAX || m > WORD_MAX)
        return CLI_FAR;
    unsigned d[WORD_MAX + 1][WORD_MAX + 1];
    for (size_t i = 0; i <= n; i++)
        d[i][0] = (unsigned)i;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        for (size_t j = 1; j <= m; j++) {
            unsigned replace = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            d[i][j] = min_unsigned(replace, min_unsigned(d[i - 1][j], d[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = min_unsigned(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[n][m];
}

bool cli_is_near(const char *typed, unsigned distance)
{
    size_t len = strlen(typed);
    return distance <= (len <= 4 ? 1u : len <= 8 ? 2u : 3u);
}
