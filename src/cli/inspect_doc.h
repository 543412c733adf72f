/* inspect_doc.h - all that `apr inspect` knows about a file, as one JSON document. */
#ifndef RZ_CLI_INSPECT_DOC_H
#define RZ_CLI_INSPECT_DOC_H

#include <jansson.h>
#include <realizar/engine.h>

struct inspect {
    const rz_file *file;
    const rz_model *model; /* NULL: this build cannot run it, and why says so */
    const char *why;
    uint32_t n_ctx; /* 0: a default */
    const char *kv; /* "f16", "f32", NULL */
};

/* The document, or NULL if memory ran out. The keys are described in docs/cli.md. */
json_t *cli_inspect_document(const struct inspect *in);

#endif
