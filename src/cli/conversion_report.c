/* conversion_report.c - what a conversion did: errors of the tensors whose type changed, sizes,
 * speed, and what --verify found. */
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/conversion.h"
#include "cli/io.h"
#include "cli/tensor_list.h"

#include <string.h>

/* RMSE in units of the tensor's own root mean square. */
static double relative(const rz_convert_tensor *t)
{
    return t->rms > 0 ? t->rmse / t->rms : 0;
}

static void print_tensors(const rz_convert_report *r)
{
    bool head = false;
    for (size_t i = 0; i < r->n_tensors; i++) {
        const rz_convert_tensor *t = &r->tensors[i];
        if (t->from == t->to || t->rmse == 0)
            continue;
        if (!head)
            printf("%-32s %6s    %-6s %11s %11s %9s\n", "tensor", "from", "to", "RMSE", "largest",
                   "relative");
        head = true;
        int len = (int)strlen(t->name);
        cli_put_clean(stdout, t->name, (size_t)len, false);
        printf("%*s %6s -> %-6s %11.4g %11.4g %8.3f%%\n", len < 32 ? 32 - len : 0, "",
               rz_dtype_name(t->from), rz_dtype_name(t->to), t->rmse, t->worst, 100 * relative(t));
    }
}

static void print_summary(const struct cli_conversion *c, const char *operand, const char *path)
{
    const rz_convert_report *r = c->report;
    char from[CLI_BYTES_MAX], to[CLI_BYTES_MAX], rate[CLI_BYTES_MAX];
    size_t n_copied = 0;
    for (size_t i = 0; i < r->n_tensors; i++)
        n_copied += r->tensors[i].from == r->tensors[i].to;
    cli_put_clean(stdout, operand, strlen(operand), false);
    printf(" (%s) -> ", r->from_format);
    cli_put_clean(stdout, path, strlen(path), false);
    printf(" (%s)\n", r->format);
    printf("%zu tensors, %zu with the type they had; weights %s -> %s; %.2f s, %s/s, %u threads\n",
           r->n_tensors, n_copied, cli_bytes(from, r->from_bytes), cli_bytes(to, r->to_bytes),
           c->seconds,
           cli_bytes(rate, (uint64_t)((double)r->from_bytes / (c->seconds > 0 ? c->seconds : 1))),
           r->n_threads);
    if (r->requantized)
        puts("quantized from weights that were quantized already: their errors add up");
    if (!c->verified)
        return;
    printf("verified: %zu tensors, %zu with the same bits; metadata the same\n", c->n_compared,
           c->n_same_bits);
    if (c->logits_note)
        printf("logits not compared: %s\n", c->logits_note);
    else
        printf("logits of a fixed prompt: largest difference %.3g, mean KL %.3g, %s likeliest "
               "tokens\n",
               c->logits_worst, c->logits_kl,
               c->logits_same_top ? "the same" : "not everywhere the same");
}

static json_t *tensors_json(const rz_convert_report *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->n_tensors; i++) {
        const rz_convert_tensor *t = &r->tensors[i];
        json_array_append_new(list, json_pack("{so ss ss sI sI sI sf sf sf}", "name",
                                              cli_json_text(t->name, strlen(t->name)), "from",
                                              rz_dtype_name(t->from), "to", rz_dtype_name(t->to),
                                              "elements", (json_int_t)t->n_elements, "from_bytes",
                                              (json_int_t)t->from_bytes, "to_bytes",
                                              (json_int_t)t->to_bytes, "rms", t->rms, "rmse",
                                              t->rmse, "largest_error", t->worst));
    }
    return list;
}

static json_t *verified_json(const struct cli_conversion *c)
{
    if (!c->verified)
        return json_null();
    json_t *logits = c->logits_note ? json_pack("{ss}", "skipped", c->logits_note)
                                    : json_pack("{so so sb}", "largest_difference",
                                                cli_json_real(c->logits_worst), "mean_kl",
                                                cli_json_real(c->logits_kl), "same_likeliest",
                                                c->logits_same_top);
    return json_pack("{sI sI so}", "tensors", (json_int_t)c->n_compared, "same_bits",
                     (json_int_t)c->n_same_bits, "logits", logits);
}

rz_status cli_conversion_print(const struct cli_conversion *c, const char *operand,
                               const char *path, rz_error *err)
{
    const rz_convert_report *r = c->report;
    if (c->args->json)
        return cli_out_json(json_pack("{so so ss ss sI sI sf si sb so so}", "source",
                                      cli_json_text(operand, strlen(operand)), "output",
                                      cli_json_text(path, strlen(path)), "from_format",
                                      r->from_format, "format", r->format, "from_bytes",
                                      (json_int_t)r->from_bytes, "to_bytes",
                                      (json_int_t)r->to_bytes, "seconds", c->seconds, "threads",
                                      (int)r->n_threads, "requantized", r->requantized, "verified",
                                      verified_json(c), "tensors", tensors_json(r)),
                            err);
    if (c->args->quiet)
        return RZ_OK;
    print_tensors(r);
    print_summary(c, operand, path);
    return RZ_OK;
}
