/* template.h - chat templates: the model's own Jinja, rendered in a sandbox.
 *
 * The language is the subset that published chat templates use, with the semantics of Jinja2 as
 * transformers sets it up (trim_blocks, lstrip_blocks, loop controls, raise_exception,
 * strftime_now, tojson). A template has no access to anything but its variables; steps, output size
 * and nesting are limited. Immutable once parsed; may be rendered from several threads at once. */
#ifndef REALIZAR_TEMPLATE_H
#define REALIZAR_TEMPLATE_H

#include <realizar/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rz_template rz_template;

/* Parses source (UTF-8, copied). name stands in messages ("Qwen2.5 template:3:17: ..."). Errors:
 * RZ_EFORMAT with line and column, RZ_ENOMEM. */
RZ_API RZ_MUST_USE rz_status rz_template_new(rz_template **out, const char *name,
                                             const char *source, size_t len, rz_error *err);
RZ_API void rz_template_free(rz_template **t);

typedef struct rz_render_options {
    int64_t now_unix_s; /* what strftime_now formats, as UTC seconds (already shifted to local time
                           if wanted) */
    uint64_t max_steps; /* evaluation steps; 0: the default, 10,000,000 */
    size_t max_output;  /* bytes; 0: the default, 64 MiB */
} rz_render_options;

/* Renders with the variables of a JSON object (messages, tools, add_generation_prompt, bos_token
 * ...; key order kept). Appends to out. Errors: RZ_EFORMAT: variables are not a JSON object;
 * RZ_EINFER: the template failed (raise_exception's own message, undefined variable, limit
 * reached), with line and column. On error out is as before. options may be NULL (now = 0). */
RZ_API RZ_MUST_USE rz_status rz_template_render(const rz_template *t, const char *vars_json,
                                                size_t len, const rz_render_options *options,
                                                rz_text *out, rz_error *err);

#ifdef __cplusplus
}
#endif
#endif
