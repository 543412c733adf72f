/* cmd_profile.h - what the parts of `apr profile` share. */
#ifndef RZ_CLI_CMD_PROFILE_H
#define RZ_CLI_CMD_PROFILE_H

#include "cli/load.h"

#include <realizar/profile.h>
#include <stdio.h>

struct profile_args {
    struct cli_uint prompt_tokens, tokens, depth, warmup, measure;
    const char *kv, *format, *output;
    bool granular, energy, ci, quiet;
    struct cli_float throughput, p50, p99;
    struct cli_model_args model;
};

/* An assertion of --ci and what came of it. */
struct profile_check {
    const char *name, *unit;
    double value, wanted;
    bool passed;
};

enum {
    PROFILE_MAX_CHECKS = 3
};

struct profile_job {
    const struct profile_args *args;
    struct cli_loaded l;
    rz_profile *p;
    rz_limits limits;
    struct profile_check check[PROFILE_MAX_CHECKS];
    size_t n_checks;
    bool all_passed;
};

/* Decode: tokens per second, and quantiles of a step in milliseconds. */
double profile_throughput(const rz_profile_phase *p);
double profile_step_ms(const rz_profile_phase *p, double q);

void profile_put_human(const struct profile_job *j, FILE *to);
void profile_put_checks(const struct profile_job *j, FILE *to);
rz_status profile_put_json(const struct profile_job *j, FILE *to, rz_error *err);
rz_status profile_put_flamegraph(const struct profile_job *j, FILE *to, rz_error *err);

#endif
