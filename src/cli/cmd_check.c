/* cmd_check.c - `apr check FILE`: does this build compute this model rightly? */
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/load.h"

#include <realizar/check.h>
#include <string.h>

struct check_args {
    bool json, quiet;
    struct cli_model_args model;
};

#define FIELD(f) offsetof(struct check_args, f)

static const struct cli_option check_options[] = {
    CLI_ROW_FLAG(0, "json", FIELD(json), "print a JSON object"),
    CLI_ROW_FLAG('q', "quiet", FIELD(quiet), "no spinner"),
    {0},
};

static void print_table(const rz_check_report *r)
{
    for (int i = 0; i < RZ_N_CHECKS; i++) {
        const rz_check_stage *s = &r->stage[i];
        printf("%-4s %2d  %-24s  ", s->passed ? "PASS" : "FAIL", i + 1, s->name);
        cli_put_clean(stdout, s->detail, strlen(s->detail), false);
        putchar('\n');
    }
    printf("%u of %d stages passed\n", r->n_passed, RZ_N_CHECKS);
}

/* JSON has no infinity and no NaN: null stands for them. */
static json_t *number(double v)
{
    json_t *n = json_real(v);
    return n ? n : json_null();
}

static rz_status print_json(const struct cli_loaded *l, const rz_check_report *r, rz_error *err)
{
    json_t *stages = json_array();
    for (int i = 0; i < RZ_N_CHECKS; i++) {
        const rz_check_stage *s = &r->stage[i];
        json_t *layer = s->layer < 0 ? json_null() : json_integer(s->layer);
        json_array_append_new(stages, json_pack("{ss ss so so so so}", "name", s->name, "status",
                                                s->passed ? "PASS" : "FAIL", "details",
                                                cli_json_text(s->detail, strlen(s->detail)),
                                                "error", number(s->error), "bound",
                                                number(s->bound), "layer", layer));
    }
    json_t *doc = json_pack("{so ss so si si sb}", "model", cli_json_str(l->path), "architecture",
                            rz_model_get_info(l->model)->architecture, "stages", stages, "passed",
                            (int)r->n_passed, "total", RZ_N_CHECKS, "all_passed", r->all_passed);
    return cli_out_json(doc, err);
}

static rz_status check(const struct cli_call *call, rz_error *err)
{
    const struct check_args *a = call->args;
    struct cli_loaded l = {0};
    rz_check_report report;
    rz_status status = cli_load(&l, call->operands[0], &a->model, NULL, a->quiet, err);
    if (!status) {
        if (!a->quiet)
            cli_spinner_start("checking");
        status = rz_check_model(l.model, &report, err);
        cli_spinner_stop();
    }
    if (!status)
        err->code = RZ_OK; /* a stage that failed inside may have left its sentence */
    if (!status && a->json)
        status = print_json(&l, &report, err);
    else if (!status)
        print_table(&report);
    if (!status && !report.all_passed)
        status = RZ_EINVALID; /* the report has said it */
    cli_unload(&l);
    return status;
}

const struct cli_command cmd_check = {
    .name = "check",
    .operands = "FILE",
    .summary = "check each stage of the computation against a float64 reference",
    .details = "Runs the model's own weights through ten stages and compares each with a scalar\n"
               "float64 reference. Exit code 5 if one is outside its bound.",
    .min_operands = 1,
    .max_operands = 1,
    .args_size = sizeof(struct check_args),
    .groups = {{"Options", check_options, 0}, {"Computing", cli_model_options, FIELD(model)}},
    .run = check,
};
