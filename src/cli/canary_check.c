/* canary_check.c - what has changed since a canary was made, and whether it is too much. A canary
 * is a file that a person may have edited: what it lacks or has of another type fails its item. */
#include "cli/canary_check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A constant tensor has no standard deviation to measure a change of its mean by. */
static const double least_relative = 1e-6;

static bool __attribute__((format(printf, 3, 4)))
say(char text[CLI_CANARY_TEXT_MAX], bool passed, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(text, CLI_CANARY_TEXT_MAX, format, args);
    va_end(args);
    return passed;
}

/* NaN if there is no such number. */
static double number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static bool check_moments(const json_t *recorded, const json_t *now,
                          const struct cli_canary_tolerance *t, char text[CLI_CANARY_TEXT_MAX])
{
    double mean = number(recorded, "mean"), std = number(recorded, "std");
    double new_mean = number(now, "mean"), new_std = number(now, "std");
    if (json_is_null(json_object_get(recorded, "mean")) && isnan(new_mean))
        return say(text, true, "no finite element, as recorded");
    double unit = fmax(std, least_relative * fabs(mean));
    double moved = fabs(new_mean - mean), spread = fabs(new_std - std);
    /* Negated, so that NaN fails. */
    if (!(moved <= t->mean * unit))
        return say(text, false, "mean %.6g, recorded %.6g: moved by %.3g std, allowed %.3g",
                   new_mean, mean, unit > 0 ? moved / unit : INFINITY, t->mean);
    if (!(spread <= t->std * unit))
        return say(text, false, "std %.6g, recorded %.6g: changed by more than %.3g %%", new_std,
                   std, 100 * t->std);
    return say(text, true, "mean %.6g, std %.6g", new_mean, new_std);
}

bool cli_canary_check_tensor(const json_t *recorded, const json_t *now,
                             const struct cli_canary_tolerance *t, char text[CLI_CANARY_TEXT_MAX])
{
    static const char *const counts[] = {"nan_count", "inf_count"};
    if (!now)
        return say(text, false, "recorded, and not in the file");
    if (!recorded)
        return say(text, false, "in the file, and not recorded");
    if (!json_equal(json_object_get(recorded, "shape"), json_object_get(now, "shape")))
        return say(text, false, "the shape is another");
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        double before = number(recorded, counts[i]), after = number(now, counts[i]);
        if (!(after <= before))
            return say(text, false, "%s %.0f, recorded %.0f", counts[i], after, before);
    }
    bool same = json_equal(json_object_get(recorded, "checksum"), json_object_get(now, "checksum"));
    if (t->exact && !same)
        return say(text, false, "the elements have changed (checksum)");
    if (same)
        return say(text, true, "unchanged");
    return check_moments(recorded, now, t, text);
}

bool cli_canary_check_logits(const json_t *recorded, const json_t *now,
                             const struct cli_canary_tolerance *t, char text[CLI_CANARY_TEXT_MAX])
{
    double worst = 0;
    size_t worst_step = 0;
    for (size_t i = 0; i < json_array_size(recorded); i++) {
        const json_t *a = json_object_get(json_array_get(recorded, i), "top");
        const json_t *b = json_object_get(json_array_get(now, i), "top");
        if (!json_is_array(a) || json_array_size(a) == 0 ||
            json_array_size(a) != json_array_size(b))
            return say(text, false, "step %zu: the recorded logits are malformed", i + 1);
        for (size_t k = 0; k < json_array_size(a); k++) {
            double d =
                fabs(number(json_array_get(b, k), "logit") - number(json_array_get(a, k), "logit"));
            if (isnan(d))
                return say(text, false, "step %zu: a logit is no number", i + 1);
            if (d > worst) {
                worst = d;
                worst_step = i;
            }
        }
    }
    return say(text, worst <= t->logit, "largest difference %.4g at step %zu, allowed %.4g", worst,
               worst_step + 1, t->logit);
}

/* By how much the recorded token led. */
static double lead(const json_t *step)
{
    const json_t *top = json_object_get(step, "top");
    return number(json_array_get(top, 0), "logit") - number(json_array_get(top, 1), "logit");
}

bool cli_canary_check_tokens(const json_t *recorded, const json_t *now,
                             const struct cli_canary_tolerance *t, char text[CLI_CANARY_TEXT_MAX])
{
    size_t n = json_array_size(recorded), n_near = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *a = json_array_get(recorded, i), *b = json_array_get(now, i);
        json_int_t was = json_integer_value(json_object_get(a, "token"));
        json_int_t is = json_integer_value(json_object_get(b, "token"));
        if (was == is)
            continue;
        double led = lead(a);
        if (t->exact || !(led <= 2 * t->logit))
            return say(text, false, "step %zu: token %lld, recorded %lld, which led by %.4g", i + 1,
                       (long long)is, (long long)was, led);
        n_near++;
    }
    if (n_near)
        return say(text, true, "%zu of %zu tokens as recorded, the others were near ties",
                   n - n_near, n);
    return say(text, true, "%zu of %zu tokens as recorded", n, n);
}
