/* fail.h - making errors, and assertions for the caller's mistakes. */
#ifndef RZ_BASE_FAIL_H
#define RZ_BASE_FAIL_H

#include <realizar/status.h>
#include <stdlib.h>

/* Fills err (if not NULL) and returns code, so that a failure is one statement:
 *     return rz_fail(err, RZ_EFORMAT, "%s: tensor %s ends at %zu", path, name, end);
 * The format has no trailing full stop. */
#define rz_fail(...) RZ_NOT_OK(rz_fail_fill(__VA_ARGS__))

rz_status rz_fail_fill(rz_error *err, rz_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The status of a call that always fails. Says so to compilers and analyzers, which otherwise
 * follow a path where it succeeded and results were not set. */
#define RZ_NOT_OK(call)                                                                            \
    ({                                                                                             \
        rz_status rz_not_ok_status = (call);                                                       \
        if (rz_not_ok_status == RZ_OK)                                                             \
            __builtin_unreachable();                                                               \
        rz_not_ok_status;                                                                          \
    })

/* The sentence for a failed allocation of n bytes of what. */
static inline rz_status rz_fail_nomem(rz_error *err, size_t n, const char *what)
{
    return rz_fail(err, RZ_ENOMEM, "no memory for %s (%zu bytes)", what, n);
}

/* A caller's mistake or a broken invariant. Checked in debug, test and sanitizer builds, where it
 * stops the program with a trap: a debugger or a sanitizer shows the place, the library prints
 * nothing. */
#ifdef RZ_DEBUG
#define RZ_ASSERT(expr) ((expr) ? (void)0 : __builtin_trap())
#else
#define RZ_ASSERT(expr) ((void)sizeof(expr))
#endif

#define RZ_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* if (status) return status, for a chain of calls that own nothing. */
#define RZ_TRY(call)                                                                               \
    do {                                                                                           \
        rz_status rz_try_status = (call);                                                          \
        if (rz_try_status)                                                                         \
            return rz_try_status;                                                                  \
    } while (0)

#endif
