/* fail.c - errors are filled where the fault is seen, with their sentence. */
#include "base/fail.h"

#include <stdarg.h>
#include <stdio.h>

rz_status rz_fail_fill(rz_error *err, rz_status code, const char *format, ...)
{
    RZ_ASSERT(code != RZ_OK);
    if (!err)
        return code;
    err->code = code;
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return code;
}
