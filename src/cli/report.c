/* report.c - what goes to stdout and stderr: answers, JSON, notes and errors. Text from outside is
 * cleaned of control characters, and a write that fails is never taken for one that worked. */
#include "base/buf.h"
#include "base/fail.h"
#include "base/utf8.h"
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    JSON_DIGITS = 9 /* enough to tell any two binary32 apart */
};

int cli_exit_code(rz_status status)
{
    switch (status) {
    case RZ_ENOMEM:
        return CLI_EXIT_LIBRARY;
    case RZ_ECANCEL:
        return CLI_EXIT_SIGNAL + SIGINT;
    default:
        return (int)status;
    }
}

static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c < 0xA0);
}

void cli_put_clean(FILE *to, const char *text, size_t len, bool lines)
{
    for (size_t i = 0; i < len;) {
        uint32_t c;
        int n = rz_utf8_decode(text + i, len - i, &c);
        if (n <= 0) {
            fputs("\xEF\xBF\xBD", to);
            i++;
            continue;
        }
        if (is_control(c) && !(lines && (c == '\n' || c == '\t')))
            fprintf(to, "\\x%02X", c);
        else
            fwrite(text + i, 1, (size_t)n, to);
        i += (size_t)n;
    }
}

void cli_note(const char *format, ...)
{
    char line[RZ_ERROR_TEXT_MAX + 256];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fflush(stdout);
    fputs("apr: ", stderr);
    cli_put_clean(stderr, line, strlen(line), true);
    fputc('\n', stderr);
}

json_t *cli_json_text(const char *text, size_t len)
{
    if (rz_utf8_valid(text, len) == len)
        return json_stringn(text ? text : "", len);
    struct rz_buf b;
    rz_buf_init(&b, 3 * len); /* one byte becomes three at worst */
    for (size_t i = 0; i < len;) {
        size_t n = rz_utf8_valid(text + i, len - i);
        rz_buf_add(&b, text + i, n);
        i += n;
        if (i < len) {
            rz_buf_str(&b, "\xEF\xBF\xBD");
            i++;
        }
    }
    json_t *string = b.failed ? NULL : json_stringn(b.data, b.len);
    rz_buf_fini(&b);
    return string;
}

json_t *cli_json_str(const char *text)
{
    return cli_json_text(text, strlen(text));
}

void cli_report(const rz_error *err, bool json)
{
    if (json) {
        json_t *doc = json_pack("{s{si so}}", "error", "code", cli_exit_code(err->code), "message",
                                cli_json_str(err->text));
        if (doc && !json_dumpf(doc, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(JSON_DIGITS)))
            putchar('\n');
        json_decref(doc);
        fflush(stdout);
    }
    cli_note("%s", err->text);
}

static rz_status out_failed(rz_error *err)
{
    /* SIGPIPE ends the process before this, unless it is blocked. */
    if (errno == EPIPE)
        _exit(CLI_EXIT_SIGNAL + SIGPIPE);
    return rz_fail(err, RZ_EIO, "the output cannot be written: %s", strerror(errno));
}

rz_status cli_out_flush(rz_error *err)
{
    errno = EIO; /* for a write that failed earlier, the reason of which is gone */
    if (fflush(stdout) || ferror(stdout))
        return out_failed(err);
    return RZ_OK;
}

rz_status cli_out_answer(const char *text, size_t len, rz_error *err)
{
    static int is_terminal = -1;
    if (is_terminal < 0)
        is_terminal = isatty(STDOUT_FILENO);
    if (is_terminal)
        cli_put_clean(stdout, text, len, true);
    else
        fwrite(text, 1, len, stdout);
    return cli_out_flush(err);
}

rz_status cli_out_json(json_t *doc, rz_error *err)
{
    if (!doc)
        return rz_fail_nomem(err, 0, "the JSON document");
    int failed = json_dumpf(doc, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(JSON_DIGITS));
    putchar('\n');
    json_decref(doc);
    if (failed && !ferror(stdout))
        return rz_fail_nomem(err, 0, "the JSON text");
    return cli_out_flush(err);
}
