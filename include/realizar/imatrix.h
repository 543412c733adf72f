/* imatrix.h - computing importance matrices: for every weight matrix of a model the mean of the
 * squared activations that enter each of its columns, over a text. Quantization then knows which
 * columns' errors cost most (convert.h). */
#ifndef REALIZAR_IMATRIX_H
#define REALIZAR_IMATRIX_H

#include <realizar/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum rz_imatrix_format {
    RZ_IMATRIX_GGUF,
    RZ_IMATRIX_DAT /* llama.cpp's older format */
} rz_imatrix_format;

typedef struct rz_imatrix_options {
    const char *path;    /* of the file to write */
    uint32_t n_ctx;      /* tokens of a chunk; at most the model's trained context */
    uint64_t max_chunks; /* 0: all of the text */
    bool output_weight;  /* also the head's inputs; costs the logits of every token */
    rz_imatrix_format format;
    const char *dataset; /* the text's name, written into the file */
    /* Called before each chunk and after the last; false stops with RZ_ECANCEL, without a file. */
    bool (*progress)(void *ctx, uint64_t done, uint64_t chunks);
    void *progress_ctx;
} rz_imatrix_options;

/* path NULL, n_ctx 512, all chunks, no output weight, GGUF, dataset "". */
RZ_API rz_imatrix_options rz_imatrix_options_default(void);

typedef struct rz_imatrix_report {
    uint64_t n_chunks, n_tokens; /* that were run */
    uint32_t n_matrices;         /* weights in the file, a stack of experts being one */
    uint32_t n_unused_experts;   /* experts that no token chose, over all layers: weighed as 1 */
    double seconds;
} rz_imatrix_report;

/* Runs the ids in chunks of n_ctx, each a sequence of its own, and writes the file. What
 * does not fill a chunk at the end is left out, unless it is all there is. Where the tokenizer puts
 * a BOS token in front of a text, every chunk's first token is replaced by it. report may be NULL.
 * The model must not compute for anyone else meanwhile. Errors: RZ_EUSAGE (no ids; n_ctx out of
 * range; an id outside the vocabulary; path is no regular file), RZ_EINFER (activations that are
 * not finite), RZ_EIO, RZ_ENOMEM, RZ_ECANCEL. */
RZ_API RZ_MUST_USE rz_status rz_imatrix_make(const rz_model *model, const int32_t *ids, size_t n,
                                             const rz_imatrix_options *options,
                                             rz_imatrix_report *report, rz_error *err);

#ifdef __cplusplus
}
#endif
#endif
