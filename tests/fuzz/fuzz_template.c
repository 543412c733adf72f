/* fuzz_template.c - a chat template and its variables, both hostile.
 *
 * Input: the template's source, a NUL, the variables as JSON (none: "{}"). What must hold beside
 * the sanitizers' findings: an error has a sentence, a failure leaves the output as it was, and two
 * renderings agree. */
#include <realizar/template.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const rz_render_options options = {
        .now_unix_s = 1795176000, .max_steps = 100000, .max_output = 1 << 20};
    const char *source = (const char *)data;
    const char *nul = size ? memchr(source, '\0', size) : NULL;
    size_t len = nul ? (size_t)(nul - source) : size;
    const char *vars = nul ? nul + 1 : "{}";
    size_t vars_len = nul ? size - len - 1 : 2;
    rz_template *t = NULL;
    rz_error err = {0};
    if (rz_template_new(&t, "fuzz", source, len, &err)) {
        check(err.code != RZ_OK && err.text[0] && !t);
        return 0;
    }
    rz_text first = {0}, second = {0};
    rz_status status = rz_template_render(t, vars, vars_len, &options, &first, &err);
    check(status == RZ_OK ? first.data != NULL : first.len == 0 && err.code == status);
    rz_status again = rz_template_render(t, vars, vars_len, &options, &second, NULL);
    check(again == status && first.len == second.len);
    check(!first.len || memcmp(first.data, second.data, first.len) == 0);
    free(first.data);
    free(second.data);
    rz_template_free(&t);
    return 0;
}
