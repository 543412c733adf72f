/* cmd_convert.c - `apr convert IN -o OUT`: another container, other types, or both. */
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/conversion.h"

static rz_status convert(const struct cli_call *call, rz_error *err)
{
    struct cli_conversion c = {.args = call->args};
    if (!c.args->output)
        return rz_fail(err, RZ_EUSAGE, "convert needs -o OUT");
    rz_status status = cli_convert(&c, call->operands[0], c.args->output, err);
    if (!status)
        status = cli_conversion_print(&c, call->operands[0], c.args->output, err);
    cli_conversion_fini(&c);
    return status;
}

const struct cli_command cmd_convert = {
    .name = "convert",
    .operands = "IN -o OUT",
    .summary = "write a model in another format, with other types of weights, or both",
    .details = "IN is anything that can be run. The format is that of OUT's ending (.gguf, .apr,\n"
               ".safetensors) or of --format; the same format again is a rewrite. Weights whose\n"
               "type stays are copied bit for bit.",
    .min_operands = 1,
    .max_operands = 1,
    .args_size = sizeof(struct cli_conversion_args),
    .groups = {{"Target", cli_target_options, 0},
               {"Container", cli_container_options, 0},
               {"Work", cli_work_options, 0}},
    .run = convert,
};
