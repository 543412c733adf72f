/* nfc.c - normalization form C. Most text is in NFC already and is only scanned; a segment between
 * two characters that nothing composes with is decomposed, ordered and composed when its scan says
 * that NFC may change it. Time is linear in the text, whatever it holds.
 * Source: Unicode Standard Annex 15; The Unicode Standard, sections 3.11 and 3.12 (Hangul). */
#include "tokenizer/nfc.h"

#include "base/fail.h"
#include "base/utf8.h"
#include "tokenizer/unicode.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    HANGUL_S = 0xAC00,
    HANGUL_L = 0x1100,
    HANGUL_V = 0x1161,
    HANGUL_T = 0x11A7,
    N_HANGUL_L = 19,
    N_HANGUL_V = 21,
    N_HANGUL_T = 28,
    N_HANGUL_S = N_HANGUL_L * N_HANGUL_V * N_HANGUL_T,
    MAX_DECOMPOSED = 4, /* code points that one code point decomposes to */
    INSERTION_MAX = 24  /* longer runs of marks are ordered by counting */
};

/* A code point with its combining class in the upper byte. */
typedef uint32_t unit;

struct segment {
    unit *units;
    size_t n, cap;
    unit *sorted; /* as long as units */
};

static uint32_t unit_cp(unit u)
{
    return u & 0x1FFFFF;
}

static unsigned unit_class(unit u)
{
    return u >> 24;
}

static const struct rz_nfc_mark *find_mark(uint32_t cp)
{
    size_t low = 0, high = rz_n_nfc_marks;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (cp > rz_nfc_marks[mid].last)
            low = mid + 1;
        else
            high = mid;
    }
    return &rz_nfc_marks[low];
}

static unit make_unit(uint32_t cp)
{
    if (!(rz_unicode_flags(cp) & RZ_UNICODE_NFC_BIT))
        return cp;
    return cp | (uint32_t)find_mark(cp)->combining_class << 24;
}

/* Index of the first character of a segment that NFC may change, found at *i or later; *i moves to
 * the character that gave cause. len if there is none. */
static size_t find_segment(const char *text, size_t len, size_t from)
{
    size_t i = from;
    unsigned last_class = 0;
    while (i < len) {
        /* Below U+0300, that is before lead byte 0xCC, there is nothing to look at. */
        if ((uint8_t)text[i] < 0x80) {
            last_class = 0;
            i++;
            continue;
        }
        size_t at = i;
        uint32_t cp = rz_utf8_next(text, &i);
        if (cp < 0x300 || !(rz_unicode_flags(cp) & RZ_UNICODE_NFC_BIT)) {
            last_class = 0;
            continue;
        }
        const struct rz_nfc_mark *mark = find_mark(cp);
        if (mark->unstable || mark->combining_class < last_class)
            return at;
        last_class = mark->combining_class;
    }
    return len;
}

/* Start of the character before text[i]. */
static size_t step_back(const char *text, size_t i)
{
    do
        i--;
    while (((uint8_t)text[i] & 0xC0) == 0x80);
    return i;
}

/* The last boundary at or before i, not before from. */
static size_t segment_start(const char *text, size_t from, size_t i)
{
    while (i > from) {
        i = step_back(text, i);
        size_t next = i;
        if (!(rz_unicode_flags(rz_utf8_next(text, &next)) & RZ_UNICODE_NFC_BIT))
            break;
    }
    return i;
}

static size_t segment_end(const char *text, size_t len, size_t i)
{
    while (i < len) {
        size_t next = i;
        if (!(rz_unicode_flags(rz_utf8_next(text, &next)) & RZ_UNICODE_NFC_BIT))
            break;
        i = next;
    }
    return i;
}

static const struct rz_nfc_pair *find_decomposition(uint32_t cp)
{
    size_t low = 0, high = rz_n_nfc_decompositions;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (cp > rz_nfc_decompositions[mid].cp)
            low = mid + 1;
        else
            high = mid;
    }
    bool found = low < rz_n_nfc_decompositions && rz_nfc_decompositions[low].cp == cp;
    return found ? &rz_nfc_decompositions[low] : NULL;
}

/* Appends the full canonical decomposition of cp; room for MAX_DECOMPOSED is there. Only a
 * mapping's first character decomposes further, so that a stack of the second ones is enough. */
static void decompose(struct segment *s, uint32_t cp)
{
    uint32_t i_s = cp - HANGUL_S;
    if (i_s < N_HANGUL_S) {
        s->units[s->n++] = HANGUL_L + i_s / (N_HANGUL_V * N_HANGUL_T);
        s->units[s->n++] = HANGUL_V + i_s / N_HANGUL_T % N_HANGUL_V;
        if (i_s % N_HANGUL_T)
            s->units[s->n++] = HANGUL_T + i_s % N_HANGUL_T;
        return;
    }
    uint32_t tail[MAX_DECOMPOSED];
    size_t n_tail = 0;
    const struct rz_nfc_pair *pair = find_decomposition(cp);
    while (pair && n_tail < MAX_DECOMPOSED - 1) {
        if (pair->b)
            tail[n_tail++] = pair->b;
        cp = pair->a;
        pair = find_decomposition(cp);
    }
    s->units[s->n++] = make_unit(cp);
    while (n_tail > 0)
        s->units[s->n++] = make_unit(tail[--n_tail]);
}

/* Stable order by combining class of n marks. */
static void order_run(unit *run, size_t n, unit *sorted)
{
    if (n <= INSERTION_MAX) {
        for (size_t i = 1; i < n; i++) {
            unit u = run[i];
            size_t j = i;
            for (; j > 0 && unit_class(run[j - 1]) > unit_class(u); j--)
                run[j] = run[j - 1];
            run[j] = u;
        }
        return;
    }
    size_t place[257] = {0};
    for (size_t i = 0; i < n; i++)
        place[unit_class(run[i]) + 1]++;
    for (size_t c = 1; c < 257; c++)
        place[c] += place[c - 1];
    for (size_t i = 0; i < n; i++)
        sorted[place[unit_class(run[i])]++] = run[i];
    memcpy(run, sorted, n * sizeof *run);
}

static void order(struct segment *s)
{
    for (size_t i = 0; i < s->n;) {
        if (unit_class(s->units[i]) == 0) {
            i++;
            continue;
        }
        size_t end = i;
        while (end < s->n && unit_class(s->units[end]) != 0)
            end++;
        order_run(s->units + i, end - i, s->sorted);
        i = end;
    }
}

/* The primary composite of a and b, or 0. */
static uint32_t composite(uint32_t a, uint32_t b)
{
    if (a - HANGUL_L < N_HANGUL_L && b - HANGUL_V < N_HANGUL_V)
        return HANGUL_S + ((a - HANGUL_L) * N_HANGUL_V + (b - HANGUL_V)) * N_HANGUL_T;
    uint32_t i_s = a - HANGUL_S;
    if (i_s < N_HANGUL_S && i_s % N_HANGUL_T == 0 && b - HANGUL_T - 1 < N_HANGUL_T - 1)
        return a + (b - HANGUL_T);
    uint64_t key = (uint64_t)a << 32 | b;
    size_t low = 0, high = rz_n_nfc_compositions;
    while (low < high) {
        size_t mid = (low + high) / 2;
        const struct rz_nfc_pair *p = &rz_nfc_compositions[mid];
        if (key > ((uint64_t)p->a << 32 | p->b))
            low = mid + 1;
        else
            high = mid;
    }
    if (low == rz_n_nfc_compositions)
        return 0;
    const struct rz_nfc_pair *p = &rz_nfc_compositions[low];
    return p->a == a && p->b == b ? p->cp : 0;
}

static void compose(struct segment *s)
{
    size_t n = 0, starter = SIZE_MAX;
    unsigned last_class = 0;
    for (size_t i = 0; i < s->n; i++) {
        unit u = s->units[i];
        unsigned class = unit_class(u);
        /* Not blocked: next to the starter, or after marks of lower classes only. */
        if (starter != SIZE_MAX && (n == starter + 1 || last_class < class)) {
            uint32_t joined = composite(unit_cp(s->units[starter]), unit_cp(u));
            if (joined) {
                s->units[starter] = joined;
                continue;
            }
        }
        if (class == 0)
            starter = n;
        last_class = class;
        s->units[n++] = u;
    }
    s->n = n;
}

static rz_status reserve(struct segment *s, size_t n, rz_error *err)
{
    if (n <= s->cap)
        return RZ_OK;
    if (n > SIZE_MAX / (4 * sizeof(unit)))
        return rz_fail_nomem(err, n, "normalization");
    size_t cap = 2 * n;
    unit *units = realloc(s->units, cap * sizeof *units);
    if (!units)
        return rz_fail_nomem(err, cap * sizeof *units, "normalization");
    s->units = units;
    unit *sorted = realloc(s->sorted, cap * sizeof *sorted);
    if (!sorted)
        return rz_fail_nomem(err, cap * sizeof *sorted, "normalization");
    s->sorted = sorted;
    s->cap = cap;
    return RZ_OK;
}

static rz_status normalize_segment(struct segment *s, const char *text, size_t len,
                                   struct rz_buf *out, rz_error *err)
{
    s->n = 0;
    for (size_t i = 0; i < len;) {
        RZ_TRY(reserve(s, s->n + MAX_DECOMPOSED, err));
        decompose(s, rz_utf8_next(text, &i));
    }
    order(s);
    compose(s);
    for (size_t i = 0; i < s->n; i++) {
        char bytes[4];
        int n = rz_utf8_encode(unit_cp(s->units[i]), bytes);
        rz_buf_add(out, bytes, (size_t)n);
    }
    return RZ_OK;
}

size_t rz_nfc_prefix(const char *text, size_t len)
{
    size_t cause = find_segment(text, len, 0);
    return cause == len ? len : segment_start(text, 0, cause);
}

rz_status rz_nfc_append(const char *text, size_t len, struct rz_buf *out, rz_error *err)
{
    struct segment s = {0};
    rz_status status = RZ_OK;
    size_t done = 0; /* a boundary, or the start */
    while (done < len && !status) {
        size_t cause = find_segment(text, len, done);
        size_t start = cause == len ? len : segment_start(text, done, cause);
        rz_buf_add(out, text + done, start - done);
        done = start < len ? segment_end(text, len, cause) : len;
        if (start < len)
            status = normalize_segment(&s, text + start, done - start, out, err);
    }
    if (!status && out->failed)
        status = rz_fail_nomem(err, len, "normalization");
    free(s.units);
    free(s.sorted);
    return status;
}
