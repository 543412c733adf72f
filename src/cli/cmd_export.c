/* cmd_export.c - `apr export FILE --format F -o OUT`: a model for other programs. */
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/conversion.h"

struct export_args {
    bool list_formats;
    struct cli_conversion_args conversion;
};

#define CONVERSION offsetof(struct export_args, conversion)

static const struct cli_option export_options[] = {
    CLI_ROW_FLAG(0, "list-formats", offsetof(struct export_args, list_formats),
                 "list the formats that can be written, and stop"),
    {0},
};

static rz_status list_formats(bool json, rz_error *err)
{
    const char *name, *summary;
    json_t *list = json ? json_array() : NULL;
    for (unsigned i = 0; (name = rz_convert_format(i, &summary)) != NULL; i++) {
        if (json)
            json_array_append_new(list, json_pack("{ssss}", "format", name, "summary", summary));
        else
            printf("%-12s %s\n", name, summary);
    }
    return json ? cli_out_json(list, err) : RZ_OK;
}

static rz_status export_model(const struct cli_call *call, rz_error *err)
{
    const struct export_args *a = call->args;
    struct cli_conversion c = {.args = &a->conversion};
    if (a->list_formats)
        return list_formats(a->conversion.json, err);
    if (call->n_operands == 0 || !c.args->output)
        return rz_fail(err, RZ_EUSAGE, "export needs a FILE and -o OUT");
    rz_status status = cli_convert(&c, call->operands[0], c.args->output, err);
    if (!status)
        status = cli_conversion_print(&c, call->operands[0], c.args->output, err);
    cli_conversion_fini(&c);
    return status;
}

const struct cli_command cmd_export = {
    .name = "export",
    .operands = "FILE --format FORMAT -o OUT",
    .summary = "write a model as GGUF or SafeTensors for other programs",
    .details = "The same as `apr convert`. SafeTensors are a Hugging Face directory, which\n"
               "transformers loads; weights in blocks need --quantize bf16, f16 or f32 there.",
    .min_operands = 0,
    .max_operands = 1,
    .args_size = sizeof(struct export_args),
    .groups = {{"Options", export_options, 0},
               {"Target", cli_target_options, CONVERSION},
               {"Container", cli_container_options, CONVERSION},
               {"Work", cli_work_options, CONVERSION}},
    .run = export_model,
};
