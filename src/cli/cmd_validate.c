/* cmd_validate.c - `apr validate FILE`: is this file's content plausible as a model? Every check is
 * one that can fail; what could not be checked is told as skipped and counts as nothing. */
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/tensor_list.h"
#include "cli/validate_checks.h"

#include <string.h>

struct validate_args {
    bool strict, json, quiet;
    struct cli_uint threads;
};

#define FIELD(f) offsetof(struct validate_args, f)

static const struct cli_option validate_options[] = {
    CLI_ROW_FLAG(0, "strict", FIELD(strict), "warnings and checks that were skipped fail too"),
    CLI_ROW_RANGE(CLI_UINT, 't', "threads", "N", 1, 256, FIELD(threads),
                  "threads (default: one per CPU)"),
    CLI_ROW_FLAG('q', "quiet", FIELD(quiet), "print what did not pass, and the last line"),
    CLI_ROW_FLAG(0, "json", FIELD(json), "print a JSON object"),
    {0},
};

struct job {
    const struct validate_args *args;
    rz_file *file;
    rz_tensor_scan *scan;
    struct cli_finding structure[CLI_N_STRUCTURE_CHECKS];
    json_t *findings;                         /* about tensors */
    size_t counts[CLI_N_GATES][CLI_FAIL + 1]; /* tensors by gate and verdict */
    size_t totals[CLI_FAIL + 1];              /* checks by verdict; a gate is one check */
};

static bool is_failure(const struct job *j, enum cli_verdict v)
{
    return v == CLI_FAIL || (j->args->strict && v >= CLI_SKIP);
}

static void print_finding(enum cli_verdict v, const char *check, const char *tensor,
                          const char *text)
{
    printf("%-4s %-12s ", cli_verdict_name(v), check);
    if (tensor) {
        cli_put_clean(stdout, tensor, strlen(tensor), false);
        fputs(": ", stdout);
    }
    cli_put_clean(stdout, text, strlen(text), false);
    putchar('\n');
}

static void check_structure(struct job *j)
{
    for (int i = 0; i < CLI_N_STRUCTURE_CHECKS; i++) {
        struct cli_finding *f = &j->structure[i];
        cli_check_structure((enum cli_structure_check)i, j->file, f);
        j->totals[f->verdict]++;
        if (!j->args->json && !(j->args->quiet && !is_failure(j, f->verdict)))
            print_finding(f->verdict, cli_structure_name((enum cli_structure_check)i), NULL,
                          f->text);
    }
}

static rz_status check_tensor(struct job *j, const rz_tensor *t, rz_error *err)
{
    rz_tensor_stats s;
    RZ_TRY(rz_tensor_scan_stats(j->scan, t, &s, err));
    for (int i = 0; i < CLI_N_GATES; i++) {
        struct cli_finding f;
        const char *gate = cli_gate_name((enum cli_gate)i);
        cli_check_gate((enum cli_gate)i, t, &s, &f);
        j->counts[i][f.verdict]++;
        if (f.verdict == CLI_PASS)
            continue;
        if (!j->args->json) {
            print_finding(f.verdict, gate, t->name, f.text);
            continue;
        }
        json_t *o = json_pack("{so ss ss so}", "tensor", cli_json_text(t->name, strlen(t->name)),
                              "check", gate, "verdict", cli_verdict_name(f.verdict), "text",
                              cli_json_text(f.text, strlen(f.text)));
        if (json_array_append_new(j->findings, o))
            return rz_fail_nomem(err, 0, "the report");
    }
    return RZ_OK;
}

/* A gate's verdict is that of its worst tensor. */
static enum cli_verdict gate_verdict(const struct job *j, int gate)
{
    const size_t *c = j->counts[gate];
    return c[CLI_FAIL] ? CLI_FAIL : c[CLI_WARN] ? CLI_WARN : c[CLI_PASS] ? CLI_PASS : CLI_NA;
}

static rz_status check_tensors(struct job *j, rz_error *err)
{
    for (size_t i = 0; i < rz_file_n_tensors(j->file); i++)
        RZ_TRY(check_tensor(j, rz_file_tensor_at(j->file, i), err));
    for (int i = 0; i < CLI_N_GATES; i++) {
        enum cli_verdict v = gate_verdict(j, i);
        j->totals[v]++;
        if (j->args->json || (j->args->quiet && !is_failure(j, v)))
            continue;
        const size_t *c = j->counts[i];
        char text[CLI_FINDING_MAX];
        snprintf(text, sizeof text, "%zu tensors: %zu pass, %zu warn, %zu fail",
                 rz_file_n_tensors(j->file), c[CLI_PASS], c[CLI_WARN], c[CLI_FAIL]);
        print_finding(v, cli_gate_name((enum cli_gate)i), NULL, text);
    }
    return RZ_OK;
}

static bool passed(const struct job *j)
{
    return !j->totals[CLI_FAIL] &&
           !(j->args->strict && (j->totals[CLI_WARN] || j->totals[CLI_SKIP]));
}

static rz_status out_json(const struct job *j, rz_error *err)
{
    json_t *checks = json_array();
    for (int i = 0; i < CLI_N_STRUCTURE_CHECKS; i++) {
        const struct cli_finding *f = &j->structure[i];
        json_array_append_new(checks, json_pack("{ss ss so}", "check",
                                                cli_structure_name((enum cli_structure_check)i),
                                                "verdict", cli_verdict_name(f->verdict), "text",
                                                cli_json_text(f->text, strlen(f->text))));
    }
    for (int i = 0; i < CLI_N_GATES; i++) {
        const size_t *c = j->counts[i];
        json_array_append_new(
            checks,
            json_pack("{ss ss so so so}", "check", cli_gate_name((enum cli_gate)i), "verdict",
                      cli_verdict_name(gate_verdict(j, i)), "passed", cli_json_u64(c[CLI_PASS]),
                      "warned", cli_json_u64(c[CLI_WARN]), "failed", cli_json_u64(c[CLI_FAIL])));
    }
    const char *path = rz_file_path(j->file);
    json_t *doc = json_pack(
        "{so ss so sb sb so sO so so so so so}", "file", cli_json_text(path, strlen(path)),
        "format", rz_file_format(j->file), "num_tensors", cli_json_u64(rz_file_n_tensors(j->file)),
        "strict", j->args->strict, "valid", passed(j), "checks", checks, "findings", j->findings,
        "passed", cli_json_u64(j->totals[CLI_PASS]), "warned", cli_json_u64(j->totals[CLI_WARN]),
        "failed", cli_json_u64(j->totals[CLI_FAIL]), "skipped", cli_json_u64(j->totals[CLI_SKIP]),
        "not_applicable", cli_json_u64(j->totals[CLI_NA]));
    return cli_out_json(doc, err);
}

static rz_status validate(const struct cli_call *call, rz_error *err)
{
    struct job j = {.args = call->args};
    rz_status status = cli_open_file(&j.file, call->operands[0], err);
    if (!status)
        status = rz_tensor_scan_new(&j.scan, (unsigned)j.args->threads.value, err);
    if (!status) {
        j.findings = json_array();
        if (!j.findings)
            status = rz_fail_nomem(err, 0, "the report");
    }
    if (!status) {
        check_structure(&j);
        status = check_tensors(&j, err);
    }
    if (!status && j.args->json)
        status = out_json(&j, err);
    else if (!status)
        printf("%s: %zu checks passed, %zu warned, %zu failed, %zu skipped, %zu not applicable\n",
               passed(&j) ? "VALID" : "INVALID", j.totals[CLI_PASS], j.totals[CLI_WARN],
               j.totals[CLI_FAIL], j.totals[CLI_SKIP], j.totals[CLI_NA]);
    if (!status && !passed(&j))
        status = RZ_EINVALID; /* the report has said it */
    json_decref(j.findings);
    rz_tensor_scan_free(&j.scan);
    rz_file_close(&j.file);
    return status;
}

const struct cli_command cmd_validate = {
    .name = "validate",
    .operands = "FILE",
    .summary = "check that a model file's structure and content are plausible",
    .details = "Structure: layers, vocabulary, shapes, checksum. Each tensor's content: NaN,\n"
               "infinities, zeros, constants, dead rows. Exit code 5 if a check fails.",
    .min_operands = 1,
    .max_operands = 1,
    .args_size = sizeof(struct validate_args),
    .groups = {{"Options", validate_options, 0}},
    .run = validate,
};
