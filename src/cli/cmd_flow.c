/* cmd_flow.c - `apr flow MODEL`: the way of a token through a model, with the shapes, heads, biases
 * and experts of the model at hand. */
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/flow_steps.h"
#include "cli/io.h"
#include "cli/load.h"
#include "cli/tensor_list.h"

#include <inttypes.h>
#include <string.h>

struct flow_args {
    struct cli_uint layer;
    bool verbose, json;
};

#define FIELD(f) offsetof(struct flow_args, f)

static const struct cli_option flow_options[] = {
    CLI_ROW_RANGE(CLI_UINT, 0, "layer", "N", 0, 1e6, FIELD(layer),
                  "the layer whose tensors are shown (default 0)"),
    CLI_ROW_FLAG('v', "verbose", FIELD(verbose),
                 "with the bytes that a token reads and its multiply-adds"),
    CLI_ROW_FLAG(0, "json", FIELD(json), "print a JSON object"),
    {0},
};

static void print_weights(const struct cli_flow_step *s, const char *bar)
{
    for (size_t i = 0; i < s->n_weights; i++) {
        char shape[CLI_SHAPE_MAX];
        printf("  %s%22s%s  %s [%s]\n", bar, "", s->weights[i]->name,
               rz_dtype_name(s->weights[i]->dtype), cli_shape(shape, s->weights[i]));
    }
}

static void print_step(const struct cli_flow_step *s, bool verbose)
{
    const char *bar = s->stage == CLI_FLOW_LAYER ? "|  " : "";
    printf("  %s%-20s  %-16s %s\n", bar, s->op, s->output, s->note);
    print_weights(s, bar);
    char bytes[CLI_BYTES_MAX];
    if (verbose && s->n_weights)
        printf("  %s%22sa token: %s read, %" PRIu64 " multiply-adds\n", bar, "",
               cli_bytes(bytes, s->bytes), s->mul_adds);
}

static void print_flow(const struct cli_flow *flow, const rz_model_info *m,
                       const struct flow_args *a)
{
    uint32_t layer = (uint32_t)a->layer.value;
    printf("%s: %u layers, %u wide, %u heads of %u, %u KV heads, vocabulary %u, context %u\n\n",
           m->architecture, m->n_layers, m->n_embd, m->n_heads, m->head_dim, m->n_kv_heads,
           m->n_vocab, m->n_ctx_train);
    printf("  %-20s  %s\n", "tokens", "n");
    enum cli_flow_stage stage = CLI_FLOW_INPUT;
    uint64_t bytes = 0, mul_adds = 0;
    for (size_t i = 0; i < flow->n_steps; i++) {
        const struct cli_flow_step *s = &flow->steps[i];
        if (s->stage == CLI_FLOW_LAYER && stage != CLI_FLOW_LAYER)
            printf("  +-- layer %u of 0-%u, one after the other\n", layer, m->n_layers - 1);
        if (s->stage != CLI_FLOW_LAYER && stage == CLI_FLOW_LAYER)
            puts("  +--");
        stage = s->stage;
        print_step(s, a->verbose);
        bytes += s->stage == CLI_FLOW_LAYER ? s->bytes : 0;
        mul_adds += s->stage == CLI_FLOW_LAYER ? s->mul_adds : 0;
    }
    char text[CLI_BYTES_MAX];
    if (a->verbose)
        printf("\nlayer %u: a token reads %s and makes %" PRIu64
               " multiply-adds, besides attention's %" PRIu64 " for each token of the context\n",
               layer, cli_bytes(text, bytes), mul_adds, (uint64_t)2 * m->n_heads * m->head_dim);
}

static json_t *step_json(const struct cli_flow_step *s, bool verbose)
{
    json_t *weights = json_array();
    for (size_t i = 0; i < s->n_weights; i++) {
        const rz_tensor *t = s->weights[i];
        json_array_append_new(
            weights, json_pack("{so ss so so}", "name", cli_json_text(t->name, strlen(t->name)),
                               "dtype", rz_dtype_name(t->dtype), "shape", cli_shape_json(t),
                               "bytes", cli_json_u64(t->n_bytes)));
    }
    json_t *o = json_pack("{ss ss ss ss so}", "stage", cli_flow_stage_name(s->stage), "op", s->op,
                          "output", s->output, "note", s->note, "weights", weights);
    if (verbose) {
        json_object_set_new(o, "bytes_per_token", cli_json_u64(s->bytes));
        json_object_set_new(o, "multiply_adds_per_token", cli_json_u64(s->mul_adds));
    }
    return o;
}

static rz_status flow_json(const struct cli_flow *flow, const struct cli_loaded *l,
                           const struct flow_args *a, rz_error *err)
{
    const rz_model_info *m = rz_model_get_info(l->model);
    json_t *steps = json_array();
    for (size_t i = 0; i < flow->n_steps; i++)
        json_array_append_new(steps, step_json(&flow->steps[i], a->verbose));
    return cli_out_json(
        json_pack("{so ss sI sI sI sI sI sI sb sb sb sI sI so}", "model",
                  cli_json_text(l->path, strlen(l->path)), "architecture", m->architecture,
                  "num_layers", (json_int_t)m->n_layers, "hidden_size", (json_int_t)m->n_embd,
                  "num_heads", (json_int_t)m->n_heads, "num_kv_heads", (json_int_t)m->n_kv_heads,
                  "head_dim", (json_int_t)m->head_dim, "vocab_size", (json_int_t)m->n_vocab,
                  "qkv_bias", m->qkv_bias, "qk_norm", m->qk_norm, "tied_head", m->tied_head,
                  "num_experts", (json_int_t)m->n_experts, "layer", (json_int_t)a->layer.value,
                  "steps", steps),
        err);
}

static rz_status flow(const struct cli_call *call, rz_error *err)
{
    static const struct cli_model_args defaults = {.threads = {1, true}};
    const struct flow_args *a = call->args;
    struct cli_loaded l = {0};
    struct cli_flow steps;
    rz_status status = cli_load(&l, call->operands[0], &defaults, NULL, true, err);
    if (!status && a->layer.value >= rz_model_get_info(l.model)->n_layers)
        status = rz_fail(err, RZ_EUSAGE, "--layer %u: the model has layers 0 to %u",
                         (unsigned)a->layer.value, rz_model_get_info(l.model)->n_layers - 1);
    if (!status) {
        cli_flow_build(&steps, l.model, (uint32_t)a->layer.value);
        if (a->json)
            status = flow_json(&steps, &l, a, err);
        else
            print_flow(&steps, rz_model_get_info(l.model), a);
    }
    cli_unload(&l);
    return status;
}

const struct cli_command cmd_flow = {
    .name = "flow",
    .operands = "MODEL",
    .summary = "show the steps that a model computes, with their shapes and weights",
    .details = "The steps are those of the model as it is bound, so this is for models that this\n"
               "build can run. n is the number of tokens.",
    .min_operands = 1,
    .max_operands = 1,
    .args_size = sizeof(struct flow_args),
    .groups = {{"Options", flow_options, 0}},
    .run = flow,
};
