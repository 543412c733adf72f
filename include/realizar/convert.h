/* convert.h - from one model file to another: container, types of the weights, or both.
 *
 * The source is read through <realizar/file.h>, so any container that opens converts to any that
 * can be written. Tensors whose type stays are copied bit for bit; others are decoded to float32
 * and encoded again, a few rows at a time, so that memory does not grow with the model. What is
 * wrong with the source (a NaN, an infinity, a shape that its metadata contradicts) stops the
 * conversion with a sentence, and no output is left. */
#ifndef REALIZAR_CONVERT_H
#define REALIZAR_CONVERT_H

#include <realizar/file.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rz_convert_progress {
    const char *tensor; /* the one in work; borrowed */
    size_t i_tensor, n_tensors;
    uint64_t done_bytes, total_bytes; /* of the source's weights */
} rz_convert_progress;

struct rz_convert_report;

/* Matrices in the layout that products read (docs/packed.md), so that nothing is rearranged when
 * the model is loaded; .apr only. The layout is the same for all CPUs. */
typedef enum rz_packing {
    RZ_PACK_NONE,
    RZ_PACK_ALSO, /* beside the plain rows: twice the size, and other readers see a plain file */
    RZ_PACK_ONLY  /* in place of them; a matrix that has no whole strips of 16 rows stays plain */
} rz_packing;

typedef struct rz_convert_options {
    const char *format;      /* "gguf", "safetensors", "apr"; NULL: by the path's ending */
    const char *type;        /* a type or a mix ("q8_0", "q4_k_m"); NULL or "keep": as they are */
    const char *imatrix;     /* path of an importance matrix; NULL: none */
    const char *compression; /* "none", "lz4", "zstd" (.apr only); NULL: none */
    rz_packing packing;
    uint64_t shard_bytes; /* SafeTensors: begin another file above this; 0: one file */
    uint32_t n_threads;   /* 1 to 256; 0: one per CPU this process may use */
    bool overwrite;       /* replace what has the path already */
    /* Called after every few MiB, on the calling thread; false stops with RZ_ECANCEL. */
    bool (*progress)(void *ctx, const rz_convert_progress *progress);
    void *progress_ctx;
    /* Called once the result is whole and before it gets its name; path: where it lies till then. A
     * failure is the conversion's: nothing is left of it, and what had the name stays. */
    rz_status (*check)(void *ctx, const char *path, const struct rz_convert_report *report,
                       rz_error *err);
    void *check_ctx;
} rz_convert_options;

/* What became of a tensor. Errors are those of this conversion: source decoded to float32 against
 * result decoded to float32. */
typedef struct rz_convert_tensor {
    char *name;
    rz_dtype from, to;
    uint64_t n_elements, from_bytes, to_bytes;
    double rms;   /* of the source */
    double rmse;  /* root mean square of the differences; 0 when copied */
    double worst; /* largest absolute difference */
} rz_convert_tensor;

typedef struct rz_convert_report {
    const char *format;      /* static: "gguf" ... */
    const char *from_format; /* static: "GGUF" ... */
    rz_convert_tensor *tensors;
    size_t n_tensors;
    uint64_t from_bytes, to_bytes; /* of the weights */
    uint32_t n_threads;
    bool requantized; /* a block type was encoded from another block type: errors add up */
} rz_convert_report;

/* The packed layout and its version: who keeps packed files needs new ones when it changes. */
RZ_API const char *rz_packed_layout(void);

/* format NULL, type NULL, threads 0, nothing else. */
RZ_API rz_convert_options rz_convert_options_default(void);

/* Writes source to path. *report (may be NULL) is the caller's, to be freed; NULL on failure.
 * Errors: RZ_EUSAGE (no such format or type, or the format cannot hold the type), RZ_EINVALID (the
 * path exists and overwrite is false; a NaN or infinity, with tensor and element; metadata and
 * tensors that contradict each other), RZ_ELOAD (something that the target format cannot say),
 * RZ_EIO, RZ_ENOMEM, RZ_ECANCEL, those of check. options may be NULL. One thread may convert with a
 * source at a time. */
RZ_API RZ_MUST_USE rz_status rz_convert(const rz_file *source, const char *path,
                                        const rz_convert_options *options,
                                        rz_convert_report **report, rz_error *err);
RZ_API void rz_convert_report_free(rz_convert_report **report);

/* The formats that can be written: the i-th name, NULL after the last; and what --list-formats says
 * of it. */
RZ_API const char *rz_convert_format(unsigned i, const char **summary);

/* The format that a path's ending asks for (case ignored), NULL if it is none of theirs. */
RZ_API const char *rz_convert_format_of(const char *path);

/* The i-th name that rz_convert_options.type takes, NULL after the last. */
RZ_API const char *rz_convert_type(unsigned i);

/* ---- comparing two files ---- */

typedef struct rz_compare_tensor {
    char *name;
    bool in_a, in_b, same_shape, same_bits; /* bits: of the stored data, type included */
    rz_dtype type_a, type_b;                /* of those that are there */
    uint32_t n_dims_a, n_dims_b;
    uint64_t shape_a[RZ_MAX_DIMS], shape_b[RZ_MAX_DIMS];
    bool transposed; /* two dimensions, exchanged */
    double rms_a, rmse, worst, cosine;
    uint64_t at; /* element of the largest difference */
} rz_compare_tensor;

typedef struct rz_compare_report {
    rz_compare_tensor *tensors; /* a's in file order, then what only b has */
    size_t n_tensors;
    size_t n_same_bits, n_missing, n_shape, n_different; /* different: values, same shape */
} rz_compare_report;

typedef struct rz_compare_options {
    const char *filter; /* only tensors whose name contains it; NULL: all */
    uint32_t n_threads;
    bool (*progress)(void *ctx, const rz_convert_progress *progress);
    void *progress_ctx;
} rz_compare_options;

/* Compares tensors by name. Where the two orders of llama's Q and K rows differ, b's rows are
 * taken in a's order. worst and rmse are infinite where a value is not finite in one file only.
 * Errors: those of rz_tensor_scan_new and rz_tensor_scan_diff_in, RZ_ECANCEL. */
RZ_API RZ_MUST_USE rz_status rz_compare(const rz_file *a, const rz_file *b,
                                        const rz_compare_options *options,
                                        rz_compare_report **report, rz_error *err);
RZ_API void rz_compare_report_free(rz_compare_report **report);

/* Is the metadata that inference needs the same in both, whatever the container? Sizes, rotary
 * embedding, epsilon, tokens, merges, token types, special tokens, chat template, sampling.
 * RZ_EINVALID with the first key that is lost or changed. */
RZ_API RZ_MUST_USE rz_status rz_compare_metadata(const rz_file *a, const rz_file *b, rz_error *err);

#ifdef __cplusplus
}
#endif
#endif
