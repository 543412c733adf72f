/* rosetta.h - the actions of `apr rosetta`. */
#ifndef RZ_CLI_ROSETTA_H
#define RZ_CLI_ROSETTA_H

#include "cli/cli.h"
#include "cli/conversion.h"

struct rosetta_args {
    struct cli_conversion_args conversion; /* quantize, threads, force, verify, json, quiet */
    const char *work_dir, *intermediate, *prompt, *filter, *output;
    struct cli_uint max_tokens;
    struct cli_float tolerance;
    bool mismatches_only, show_values;
};

/* operands: those after the action. */
struct rosetta_call {
    const struct rosetta_args *args;
    char *const *operands;
    size_t n_operands;
};

rz_status rosetta_chain(const struct rosetta_call *call, rz_error *err);
rz_status rosetta_verify(const struct rosetta_call *call, rz_error *err);
rz_status rosetta_diff_tensors(const struct rosetta_call *call, rz_error *err);
rz_status rosetta_compare_inference(const struct rosetta_call *call, rz_error *err);
rz_status rosetta_fingerprint(const struct rosetta_call *call, rz_error *err);

#endif
