/* cmd_quantize.c - `apr quantize IN OUT TYPE`: the same model with smaller weights. */
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/conversion.h"

#include <string.h>

static rz_status quantize(const struct cli_call *call, rz_error *err)
{
    struct cli_conversion_args a = *(const struct cli_conversion_args *)call->args;
    struct cli_conversion c = {.args = &a};
    a.quantize = call->operands[2];
    rz_status status = cli_convert(&c, call->operands[0], call->operands[1], err);
    if (!status)
        status = cli_conversion_print(&c, call->operands[0], call->operands[1], err);
    cli_conversion_fini(&c);
    return status;
}

const struct cli_command cmd_quantize = {
    .name = "quantize",
    .operands = "IN OUT TYPE",
    .summary = "write a model with smaller weights and tell each tensor's error",
    .details =
        "TYPE is a type or one of the published mixes: q8_0 q6_k q5_k_m q5_k_s q5_1 q5_0 q4_k_m\n"
        "q4_k_s q4_1 q4_0 iq4_xs iq4_nl q3_k_l q3_k_m q3_k_s q2_k f16 bf16 f32; q3_k, q4_k and\n"
        "q5_k are that type for every matrix. Norms stay F32. Errors are RMSE, largest\n"
        "difference, and RMSE in percent of the weights' own root mean square.",
    .min_operands = 3,
    .max_operands = 3,
    .args_size = sizeof(struct cli_conversion_args),
    .groups = {{"Container", cli_container_options, 0}, {"Work", cli_work_options, 0}},
    .run = quantize,
};
