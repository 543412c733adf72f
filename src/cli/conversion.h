/* conversion.h - what convert, quantize, import, export and rosetta share: option tables, and the
 * conversion with its progress, its checks and its report. */
#ifndef RZ_CLI_CONVERSION_H
#define RZ_CLI_CONVERSION_H

#include "cli/options.h"

#include <jansson.h>
#include <realizar/convert.h>

struct cli_conversion_args {
    const char *output, *quantize, *format, *compression, *shard_size, *imatrix;
    struct cli_uint threads;
    bool packed, packed_only, force, verify, json, quiet;
};

/* -o and --quantize; container and size; what else. */
extern const struct cli_option cli_target_options[], cli_container_options[], cli_work_options[];

/* The result of one conversion; start from {0}. */
struct cli_conversion {
    const struct cli_conversion_args *args;
    const char *default_format; /* where neither --format nor the path says one; may be NULL */
    rz_convert_report *report;
    double seconds;
    bool verified;
    size_t n_compared, n_same_bits;
    const char *logits_note;        /* why they were not compared; NULL if they were */
    double logits_worst, logits_kl; /* largest difference; mean KL of result to source */
    bool logits_same_top;
};

/* Converts the model that operand means to path, and verifies if that is wanted; fini in any case.
 * Ctrl-C stops it and leaves nothing. */
rz_status cli_convert(struct cli_conversion *c, const char *operand, const char *path,
                      rz_error *err);
void cli_conversion_fini(struct cli_conversion *c);

/* What it did, as text (none with --quiet) or JSON. */
rz_status cli_conversion_print(const struct cli_conversion *c, const char *operand,
                               const char *path, rz_error *err);

/* A result and what it was made from. */
struct cli_verification {
    const rz_file *source;
    const char *source_path;
    const char *path;        /* the name that the result is to have */
    const char *result_path; /* where it lies */
    const rz_convert_report *report;
};

/* Reads the result again and compares it with the source: metadata, every tensor (the same bits
 * where the type is the same, the reported error where it is not), logits of a fixed prompt.
 * RZ_EINVALID with what differs. */
rz_status cli_conversion_verify(struct cli_conversion *c, const struct cli_verification *v,
                                rz_error *err);

/* "3.5G", "512M", bytes. */
rz_status cli_parse_bytes(const char *text, uint64_t *bytes, rz_error *err);

#endif
