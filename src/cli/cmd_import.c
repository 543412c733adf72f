/* cmd_import.c - `apr import SRC -o OUT.apr`: any model to .apr. */
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/conversion.h"

static rz_status import_model(const struct cli_call *call, rz_error *err)
{
    struct cli_conversion c = {.args = call->args, .default_format = "apr"};
    if (!c.args->output)
        return rz_fail(err, RZ_EUSAGE, "import needs -o OUT.apr");
    rz_status status = cli_convert(&c, call->operands[0], c.args->output, err);
    if (!status)
        status = cli_conversion_print(&c, call->operands[0], c.args->output, err);
    cli_conversion_fini(&c);
    return status;
}

const struct cli_command cmd_import = {
    .name = "import",
    .operands = "SRC -o OUT.apr",
    .summary = "write a model as .apr, with all that it needs to run",
    .details =
        "The same as `apr convert`, but the format is apr where OUT's name does not say one.",
    .min_operands = 1,
    .max_operands = 1,
    .args_size = sizeof(struct cli_conversion_args),
    .groups = {{"Target", cli_target_options, 0},
               {"Container", cli_container_options, 0},
               {"Work", cli_work_options, 0}},
    .run = import_model,
};
