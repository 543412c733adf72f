/* validate_checks.h - the checks of `apr validate`, each of which can fail. */
#ifndef RZ_CLI_VALIDATE_CHECKS_H
#define RZ_CLI_VALIDATE_CHECKS_H

#include <realizar/tensor_stats.h>

enum cli_verdict {
    CLI_PASS,
    CLI_NA,   /* the file has no such thing, which is in order: no pass either */
    CLI_SKIP, /* there should be something to check it on and is not, or it cannot be checked */
    CLI_WARN,
    CLI_FAIL
};
const char *cli_verdict_name(enum cli_verdict v);

enum cli_gate {
    CLI_GATE_NAN,
    CLI_GATE_INF,
    CLI_GATE_ALL_ZERO,
    CLI_GATE_CONSTANT,
    CLI_GATE_L2,
    CLI_GATE_DEAD_ROWS,
    CLI_GATE_DENSITY,
    CLI_N_GATES
};
const char *cli_gate_name(enum cli_gate gate);

enum {
    CLI_FINDING_MAX = 320
};
struct cli_finding {
    enum cli_verdict verdict;
    char text[CLI_FINDING_MAX];
};

/* A gate on one tensor; the text is set unless it passes. */
void cli_check_gate(enum cli_gate gate, const rz_tensor *t, const rz_tensor_stats *s,
                    struct cli_finding *out);

enum cli_structure_check {
    CLI_CHECK_LAYERS,      /* blocks 0 ... n - 1 are there, n as the metadata says */
    CLI_CHECK_VOCABULARY,  /* tokens = rows of the embedding = declared size */
    CLI_CHECK_WIDTH,       /* embedding's columns = declared width */
    CLI_CHECK_HEAD,        /* the head has the embedding's shape */
    CLI_CHECK_SPECIAL_IDS, /* BOS, EOS ... are tokens */
    CLI_CHECK_BINDING,     /* every tensor that the architecture needs, in its shape, no other */
    CLI_CHECK_CHECKSUM,    /* of the container, where it keeps one */
    CLI_CHECK_PACKED,      /* matrices that the file has twice are the same */
    CLI_N_STRUCTURE_CHECKS
};
const char *cli_structure_name(enum cli_structure_check check);

/* A check of the file as a whole; the text says what was found, in a pass too. */
void cli_check_structure(enum cli_structure_check check, const rz_file *file,
                         struct cli_finding *out);

#endif
