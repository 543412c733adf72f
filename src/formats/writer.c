/* writer.c - the table of writers. To add one: a row here, and a file that fills a struct
 * rz_writer_ops. */
#include "formats/writer.h"

#include <realizar/convert.h>
#include <string.h>
#include <strings.h>

static const struct {
    const struct rz_writer_ops *ops;
    const char *ending, *summary;
} writers[] = {
    {&rz_write_gguf, ".gguf", "GGUF version 3, one file; every type"},
    {&rz_write_safetensors, ".safetensors",
     "a Hugging Face directory: config.json, tokenizer.json, model.safetensors; F32, F16, BF16"},
    {&rz_write_apr, ".apr", ".apr version 2, one file, optionally compressed"},
};

enum {
    N_WRITERS = sizeof writers / sizeof writers[0]
};

const struct rz_writer_ops *rz_writer_by_name(const char *format)
{
    for (unsigned i = 0; i < N_WRITERS; i++)
        if (strcasecmp(format, writers[i].ops->format) == 0)
            return writers[i].ops;
    return NULL;
}

const struct rz_writer_ops *rz_writer_by_path(const char *path)
{
    size_t len = strlen(path);
    for (unsigned i = 0; i < N_WRITERS; i++) {
        size_t n = strlen(writers[i].ending);
        if (len > n && strcasecmp(path + len - n, writers[i].ending) == 0)
            return writers[i].ops;
    }
    return NULL;
}

const char *rz_convert_format_of(const char *path)
{
    const struct rz_writer_ops *ops = rz_writer_by_path(path);
    return ops ? ops->format : NULL;
}

const char *rz_convert_format(unsigned i, const char **summary)
{
    if (i >= N_WRITERS)
        return NULL;
    if (summary)
        *summary = writers[i].summary;
    return writers[i].ops->format;
}
