/* pretok_match.c - the patterns of pre-tokenizers as scanners. Each takes at a position what the
 * regular expression in its comment takes: the first alternative that matches, greedy, with
 * backtracking where it can matter. No scanner looks at a character more than a fixed number of
 * times per match, and matches do not overlap, so that cutting is linear.
 * Source: the pre_tokenizer field of the models' published tokenizer.json files. */
#include "tokenizer/pretok.h"

#include "tokenizer/unicode.h"

#include <string.h>

/* The class set of the character at i, and where the next begins; 0 at the end. */
static inline unsigned set_at(const char *text, size_t i, size_t end, size_t *next)
{
    size_t after = i;
    *next = i;
    if (i >= end)
        return 0;
    uint32_t cp = rz_utf8_next(text, &after);
    *next = after;
    return rz_unicode_set(cp);
}

/* The end of the run of characters of set that starts at i. */
static inline size_t run_end(const char *text, size_t i, size_t end, unsigned set)
{
    size_t next;
    while (set_at(text, i, end, &next) & set)
        i = next;
    return i;
}

/* Up to max characters of set. */
static inline size_t run_end_max(const char *text, size_t i, size_t end, unsigned set, unsigned max)
{
    size_t next;
    for (; max > 0 && (set_at(text, i, end, &next) & set); max--)
        i = next;
    return i;
}

/* 's 't 're 've 'm 'll 'd at i, where text[i] is the apostrophe: its end, or i. Without case,
 * U+017F (long s) folds to s, as in Oniguruma. */
static size_t contraction_end(const char *text, size_t i, size_t end, bool any_case)
{
    size_t n = end - i;
    const char *s = text + i;
    if (n < 2 || s[0] != '\'')
        return i;
    char fold = any_case ? 0x20 : 0;
    if (any_case && n >= 3 && (uint8_t)s[1] == 0xC5 && (uint8_t)s[2] == 0xBF)
        return i + 3;
    char a = (char)(s[1] | fold);
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return i + 2;
    if (n < 3)
        return i;
    char b = (char)(s[2] | fold);
    bool two = (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l');
    return two ? i + 3 : i;
}

/* \s+(?!\S)|\s+ at i: all white space if the text ends behind it, else all but its last character,
 * which goes with what follows; that last one alone if it is the only one. run: the end of the
 * white space. */
static size_t white_end(const char *text, size_t i, size_t end, size_t run)
{
    if (run == end)
        return run;
    size_t last = run;
    do
        last--;
    while (((uint8_t)text[last] & 0xC0) == 0x80);
    return last > i ? last : run;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ at i, a white space character. */
static size_t newline_or_white_end(const char *text, size_t i, size_t end)
{
    size_t run = i, behind_newline = i, next = i;
    for (unsigned set; (set = set_at(text, run, end, &next)) & RZ_SET_WHITE;) {
        run = next;
        if (set & RZ_SET_NEWLINE)
            behind_newline = run;
    }
    return behind_newline > i ? behind_newline : white_end(text, i, end, run);
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
bool rz_match_gpt2(const struct rz_pre_stage *stage, const char *text, size_t pos, size_t end,
                   size_t *begin, size_t *stop)
{
    (void)stage;
    *begin = pos;
    *stop = contraction_end(text, pos, end, false);
    if (*stop > pos)
        return true;
    size_t i = text[pos] == ' ' ? pos + 1 : pos;
    size_t next;
    unsigned set = set_at(text, i, end, &next);
    if (set & RZ_SET_L)
        *stop = run_end(text, next, end, RZ_SET_L);
    else if (set & RZ_SET_N)
        *stop = run_end(text, next, end, RZ_SET_N);
    else if (set && !(set & RZ_SET_WHITE))
        *stop =
            run_end(text, next, end, RZ_SET_ALL & ~(unsigned)(RZ_SET_L | RZ_SET_N | RZ_SET_WHITE));
    else
        *stop = white_end(text, pos, end, run_end(text, pos, end, RZ_SET_WHITE));
    return true;
}

/* ` ?[punct]+[\r\n]*` at i, or i; '/' counts with the newlines if slash. */
static size_t punct_end(const char *text, size_t i, size_t end, unsigned punct, bool slash)
{
    size_t start = text[i] == ' ' ? i + 1 : i;
    size_t stop = run_end(text, start, end, punct);
    if (stop == start)
        return i;
    while (stop < end && (text[stop] == '\r' || text[stop] == '\n' || (slash && text[stop] == '/')))
        stop++;
    return stop;
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?W+|\p{N}{1,max}| ?[^\s W \p{N}]+[\r\n]*
 * |\s*[\r\n]+|\s+(?!\S)|\s+
 * where W is stage->set: \p{L}, or [\p{L}\p{M}]. */
bool rz_match_cl100k(const struct rz_pre_stage *stage, const char *text, size_t pos, size_t end,
                     size_t *begin, size_t *stop)
{
    *begin = pos;
    if (stage->contraction == RZ_CONTRACTION_WORD) {
        *stop = contraction_end(text, pos, end, true);
        if (*stop > pos)
            return true;
    }
    size_t next, second;
    unsigned set = set_at(text, pos, end, &next);
    if (set & stage->set) {
        *stop = run_end(text, next, end, stage->set);
        return true;
    }
    if (set & RZ_SET_N) {
        *stop = run_end_max(text, pos, end, RZ_SET_N, stage->max_digits);
        return true;
    }
    if (!(set & RZ_SET_NEWLINE) && (set_at(text, next, end, &second) & stage->set)) {
        *stop = run_end(text, second, end, stage->set);
        return true;
    }
    unsigned punct = RZ_SET_ALL & ~(stage->set | RZ_SET_L | RZ_SET_N | RZ_SET_WHITE);
    *stop = punct_end(text, pos, end, punct, stage->slash_trails);
    if (*stop == pos)
        *stop = newline_or_white_end(text, pos, end);
    return true;
}

enum {
    SET_UPPER = RZ_SET_LU | RZ_SET_LT | RZ_SET_LM | RZ_SET_LO | RZ_SET_M,
    SET_LOWER = RZ_SET_LL | RZ_SET_LM | RZ_SET_LO | RZ_SET_M
};

/* UPPER* LOWER+ at i: its end, or i. *upper_end is that of the greedy UPPER*. */
static size_t cased_end(const char *text, size_t i, size_t end, size_t *upper_end)
{
    size_t at = i, behind_both = i, next = i;
    for (unsigned set; (set = set_at(text, at, end, &next)) & SET_UPPER;) {
        at = next;
        if (set & SET_LOWER)
            behind_both = at;
    }
    *upper_end = at;
    size_t stop = run_end(text, at, end, SET_LOWER);
    /* Without a lower-case character behind it, UPPER* gives back what LOWER+ can take. */
    return stop > at ? stop : behind_both;
}

/* P?UPPER*LOWER+C?|P?UPPER+LOWER*C?|\p{N}{1,max}|
 * ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+ where P is [^\r\n\p{L}\p{N}], UPPER
 * [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], LOWER
 * [\p{Ll}\p{Lm}\p{Lo}\p{M}], and C the contractions where the stage has them as suffixes. */
bool rz_match_o200k(const struct rz_pre_stage *stage, const char *text, size_t pos, size_t end,
                    size_t *begin, size_t *stop)
{
    *begin = pos;
    size_t next;
    unsigned set = set_at(text, pos, end, &next);
    bool prefixed = !(set & (RZ_SET_NEWLINE | RZ_SET_L | RZ_SET_N));
    size_t upper_prefixed = next, upper = pos, word = pos;
    if (prefixed) {
        word = cased_end(text, next, end, &upper_prefixed);
        word = word > next ? word : pos;
    }
    if (word == pos)
        word = cased_end(text, pos, end, &upper);
    if (word == pos && prefixed && upper_prefixed > next)
        word = upper_prefixed;
    if (word == pos)
        word = upper;
    if (word > pos) {
        *stop = stage->contraction == RZ_CONTRACTION_SUFFIX ? contraction_end(text, word, end, true)
                                                            : word;
        return true;
    }
    if (set & RZ_SET_N) {
        *stop = run_end_max(text, pos, end, RZ_SET_N, stage->max_digits);
        return true;
    }
    unsigned punct = RZ_SET_ALL & ~(unsigned)(RZ_SET_L | RZ_SET_N | RZ_SET_WHITE);
    *stop = punct_end(text, pos, end, punct, stage->slash_trails);
    if (*stop == pos)
        *stop = newline_or_white_end(text, pos, end);
    return true;
}

static bool ascii_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool ascii_punct(char c)
{
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
}

/* One attempt of rz_match_deepseek3 at pos: the end, or pos. */
static size_t deepseek3_end(const char *text, size_t pos, size_t end)
{
    if (ascii_punct(text[pos]) && pos + 1 < end && ascii_letter(text[pos + 1])) {
        size_t i = pos + 2;
        while (i < end && ascii_letter(text[i]))
            i++;
        return i;
    }
    const unsigned word = RZ_SET_L | RZ_SET_M;
    size_t next, second;
    unsigned set = set_at(text, pos, end, &next);
    if (!(set & (RZ_SET_NEWLINE | RZ_SET_L | RZ_SET_P | RZ_SET_S)) &&
        (set_at(text, next, end, &second) & word))
        return run_end(text, second, end, word);
    if (set & word)
        return run_end(text, next, end, word);
    size_t stop = punct_end(text, pos, end, RZ_SET_P | RZ_SET_S, false);
    if (stop == pos && (set & RZ_SET_WHITE))
        stop = newline_or_white_end(text, pos, end);
    return stop;
}

/* [!-/:-~ but letters][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*
 * |\s*[\r\n]+|\s+(?!\S)|\s+ */
bool rz_match_deepseek3(const struct rz_pre_stage *stage, const char *text, size_t pos, size_t end,
                        size_t *begin, size_t *stop)
{
    (void)stage;
    while (pos < end) {
        *begin = pos;
        *stop = deepseek3_end(text, pos, end);
        if (*stop > pos)
            return true;
        rz_utf8_next(text, &pos);
    }
    return false;
}

static bool in_ranges(const struct rz_code_range *ranges, size_t n, uint32_t cp)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (cp > ranges[mid].last)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n && cp >= ranges[low].first;
}

static bool in_stage_set(const struct rz_pre_stage *stage, uint32_t cp)
{
    if (rz_unicode_set(cp) & stage->set)
        return true;
    if (stage->also && cp > 0 && cp < 0x80 && strchr(stage->also, (int)cp))
        return true;
    return in_ranges(stage->ranges, stage->n_ranges, cp);
}

/* P?S+ where P is stage->prefix_set and S the stage's set; if stage->single, S{1,max_digits}. */
bool rz_match_run(const struct rz_pre_stage *stage, const char *text, size_t pos, size_t end,
                  size_t *begin, size_t *stop)
{
    size_t start = SIZE_MAX;
    unsigned n = 0, max = stage->single ? stage->max_digits : UINT32_MAX;
    bool prefix_open = false; /* the character before pos may be this match's prefix */
    size_t prefix_at = pos;
    while (pos < end && n < max) {
        size_t at = pos;
        uint32_t cp = rz_utf8_next(text, &pos);
        if (in_stage_set(stage, cp)) {
            if (n++ == 0)
                start = prefix_open ? prefix_at : at;
            *stop = pos;
        } else if (n > 0) {
            break;
        } else {
            prefix_open = rz_unicode_set(cp) & stage->prefix_set;
            prefix_at = at;
        }
    }
    *begin = start;
    return n > 0;
}

/* \s+$ in a piece without newlines, or of one. */
bool rz_match_tail(const struct rz_pre_stage *stage, const char *text, size_t pos, size_t end,
                   size_t *begin, size_t *stop)
{
    (void)stage;
    size_t tail = end;
    while (tail > pos) {
        size_t i = tail, next;
        do
            i--;
        while (((uint8_t)text[i] & 0xC0) == 0x80);
        if (!(set_at(text, i, end, &next) & RZ_SET_WHITE))
            break;
        tail = i;
    }
    *begin = tail;
    *stop = end;
    return tail < end;
}

bool rz_match_triple(const struct rz_pre_stage *stage, const char *text, size_t pos, size_t end,
                     size_t *begin, size_t *stop)
{
    (void)stage;
    size_t n = 0;
    for (size_t i = pos; i < end; i++) {
        n = text[i] >= '0' && text[i] <= '9' ? n + 1 : 0;
        if (n == 3) {
            *begin = i - 2;
            *stop = i + 1;
            return true;
        }
    }
    return false;
}
