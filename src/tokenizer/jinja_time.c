/* jinja_time.c - strftime for strftime_now: English names whatever the locale, one conversion at a
 * time so that its result is short. Conversions: those of Python on Linux (C17 7.27.3.5 and glibc's
 * flags - _ 0 ^ #). */
#include "tokenizer/jinja_builtins.h"

#include <locale.h>
#include <time.h>

/* One conversion, spec is "%d", "%-d" ...; a naive datetime has no zone and no microseconds here.
 */
static void add_conversion(struct rz_buf *b, const char *spec, const struct tm *tm,
                           locale_t c_locale)
{
    char text[128];
    char last = spec[strlen(spec) - 1];
    if (last == 'Z' || last == 'z')
        return;
    if (last == 'f') {
        rz_buf_str(b, "000000");
        return;
    }
    text[0] = '\0';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    size_t n = strftime_l(text, sizeof text, spec, tm, c_locale);
#pragma GCC diagnostic pop
    rz_buf_add(b, text, n);
}

bool rz_j_strftime(struct rz_j_ctx *c, int64_t unix_s, struct rz_j_value format,
                   struct rz_j_value *out)
{
    struct tm tm;
    time_t t = (time_t)unix_s;
    if (unix_s < -62135596800 || unix_s > 253402300799 || !gmtime_r(&t, &tm))
        return rz_j_fail(c, "strftime_now: the year is not between 1 and 9999");
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c_locale)
        return rz_j_fail(c, "strftime_now: no locale");
    struct rz_buf b;
    rz_buf_init(&b, RZJ_MAX_STRING_BYTES);
    bool ok = true;
    for (uint32_t i = 0; ok && i < format.len; i++) {
        char spec[4] = {'%', 0};
        uint32_t k = i + 1;
        if (format.u.s[i] != '%' || k >= format.len) {
            rz_buf_char(&b, format.u.s[i]);
            continue;
        }
        if (format.u.s[k] && strchr("-_0^#", format.u.s[k]) && k + 1 < format.len) {
            spec[1] = format.u.s[k++];
            spec[2] = format.u.s[k];
        } else {
            spec[1] = format.u.s[k];
        }
        char last = format.u.s[k];
        if (last && strchr("aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYZzf%", last))
            add_conversion(&b, spec, &tm, c_locale);
        else
            rz_buf_add(&b, format.u.s + i, k - i + 1);
        i = k;
        ok = rz_j_charge(c, 1);
    }
    freelocale(c_locale);
    return rz_j_take(c, ok, &b, out);
}
