/* flow_steps.h - the computation of a bound model as a list of steps, for `apr flow`. */
#ifndef RZ_CLI_FLOW_STEPS_H
#define RZ_CLI_FLOW_STEPS_H

#include <realizar/model.h>

enum {
    CLI_FLOW_MAX_STEPS = 40,
    CLI_FLOW_MAX_WEIGHTS = 4,
    CLI_FLOW_SHAPE_MAX = 64,
    CLI_FLOW_NOTE_MAX = 160
};

enum cli_flow_stage {
    CLI_FLOW_INPUT,
    CLI_FLOW_LAYER,
    CLI_FLOW_OUTPUT
};
const char *cli_flow_stage_name(enum cli_flow_stage stage);

struct cli_flow_step {
    enum cli_flow_stage stage;
    const char *op;                  /* "attention norm" */
    char output[CLI_FLOW_SHAPE_MAX]; /* of the activation: "n x 14 x 64"; n: tokens */
    char note[CLI_FLOW_NOTE_MAX];    /* what is computed */
    const rz_tensor *weights[CLI_FLOW_MAX_WEIGHTS];
    size_t n_weights;
    uint64_t mul_adds; /* of one token; attention's scores, which grow with the context, apart */
    uint64_t bytes;    /* of weights that one token reads */
};

struct cli_flow {
    struct cli_flow_step steps[CLI_FLOW_MAX_STEPS];
    size_t n_steps;
};

/* The steps, layer i_layer standing for all. */
void cli_flow_build(struct cli_flow *flow, const rz_model *model, uint32_t i_layer);

#endif
