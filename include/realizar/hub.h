/* hub.h - models by name: which files of a Hugging Face repository (or behind a URL) make a model,
 * where they lie on this machine, and how they get there.
 *
 * A file gets its name only when it is complete: it grows under another name, is resumed there
 * after any interruption, and is renamed once its size and its hash are those that the hub told.
 * Names that the hub sends are checked before they become paths.
 *
 * The cache: {cache_dir}/{org}--{repo}/{commit}/{file} (files of a URL:
 * {cache_dir}/url+{hash}/0/{file}). Hugging Face's own cache is read, never written.
 *
 * Nothing here reads the environment, except libcurl itself (http_proxy, https_proxy, no_proxy).
 * Protocol: huggingface.co/docs/hub/api; RFC 9110 sections 13 (If-Range) and 14 (Range). */
#ifndef REALIZAR_HUB_H
#define REALIZAR_HUB_H

#include <realizar/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    RZ_HUB_NAME_MAX = 200,  /* bytes of a repository, revision or alias, NUL included */
    RZ_HUB_FILE_MAX = 520,  /* bytes of a file's name in its repository */
    RZ_HUB_URL_MAX = 2048,  /* bytes of a URL that a user gives */
    RZ_HUB_QUANT_MAX = 16,  /* bytes of "Q4_K_M" */
    RZ_HUB_COMMIT_MAX = 41, /* 40 hexadecimal digits */
    RZ_HUB_SHA256_MAX = 65
};
#define RZ_HUB_SIZE_UNKNOWN UINT64_MAX

/* What a user asked for. An empty string: not said. */
typedef struct rz_hub_ref {
    char repo[RZ_HUB_NAME_MAX]; /* "org/repo"; "": a URL */
    char revision[RZ_HUB_NAME_MAX];
    char quant[RZ_HUB_QUANT_MAX];
    char file[RZ_HUB_FILE_MAX]; /* in the repository, or the last part of the URL */
    char url[RZ_HUB_URL_MAX];
} rz_hub_ref;

/* True if text is written like a reference: hf://..., http(s)://..., org/repo (with [@REVISION] and
 * [:QUANT]; not if it ends as model files do), or an alias ("qwen2.5-coder:1.5b", "small"). Looks
 * at no file. */
RZ_API bool rz_hub_is_ref(const char *text);

/* Parses a reference. A URL of a page or file of the endpoint's host becomes what it names there.
 * endpoint: NULL is huggingface.co. Errors: RZ_EUSAGE. */
RZ_API RZ_MUST_USE rz_status rz_hub_ref_parse(rz_hub_ref *ref, const char *text,
                                              const char *endpoint, rz_error *err);

/* Sets what an option gave beside the reference; NULL or "": nothing. Errors: RZ_EUSAGE (malformed,
 * or the reference says something else). */
RZ_API RZ_MUST_USE rz_status rz_hub_ref_set(rz_hub_ref *ref, const char *revision,
                                            const char *quant, rz_error *err);

/* Row i of the aliases; NULL after the last. */
RZ_API const char *rz_hub_alias(size_t i, const char **repo);

typedef struct rz_hub_progress {
    size_t n_files, n_files_done;
    uint64_t bytes_done, bytes_total; /* of all files; what was here before counts as done */
    uint64_t bytes_received;          /* over the network, by this call */
    unsigned n_retries;
    const char *last_failure; /* why the last retry was; "" */
    bool waiting;             /* another process downloads what is missing */
} rz_hub_progress;

typedef struct rz_hub_options {
    const char *endpoint;     /* "https://huggingface.co" */
    const char *token;        /* sent to the endpoint's host only; NULL: none */
    const char *cache_dir;    /* required unless out_dir is set */
    const char *hf_cache_dir; /* ".../huggingface/hub"; NULL: none */
    const char *out_dir;      /* files go here instead of the cache; NULL: the cache */
    const char *ca_file;      /* certificates instead of the system's; NULL: the system's */
    bool offline;             /* only what is on this machine */
    bool force;               /* download again what is here */
    unsigned n_jobs;          /* files at once */
    unsigned n_retries;       /* in a row without a MiB of progress; 0: none */
    unsigned connect_ms;
    unsigned stall_ms;       /* without a byte, then the connection is given up */
    unsigned backoff_ms;     /* before the first retry; doubles */
    unsigned backoff_max_ms; /* also the longest Retry-After that is obeyed */
    /* Called several times a second while downloading, from the calling thread; false: stop. */
    bool (*progress)(void *user, const rz_hub_progress *progress);
    void *user;
} rz_hub_options;

RZ_API rz_hub_options rz_hub_options_default(void);

typedef enum rz_hub_format {
    RZ_HUB_GGUF,
    RZ_HUB_SAFETENSORS,
    RZ_HUB_APR,
    RZ_HUB_FILE, /* something else, by its name */
} rz_hub_format;

RZ_API const char *rz_hub_format_name(rz_hub_format format); /* "GGUF" */

typedef struct rz_hub_file {
    const char *name;               /* in the repository */
    const char *path;               /* where it lies, or will lie */
    uint64_t n_bytes;               /* RZ_HUB_SIZE_UNKNOWN: not told */
    uint64_t n_present;             /* bytes that are here, complete or not */
    bool present, unverified;       /* unverified: it came without a hash to compare it with */
    char sha256[RZ_HUB_SHA256_MAX]; /* "": not told */
} rz_hub_file;

/* A model that was found: its files and where they are. */
typedef struct rz_hub_model rz_hub_model;

/* The model in the cache, or in Hugging Face's; asks nobody. Without a quantization the default
 * one, else the only one that is there. Errors: RZ_ENOTFOUND (not or not wholly here), RZ_EUSAGE
 * (several fit), RZ_EIO, RZ_EFORMAT, RZ_ENOMEM. */
RZ_API RZ_MUST_USE rz_status rz_hub_find(rz_hub_model **out, const rz_hub_ref *ref,
                                         const rz_hub_options *options, rz_error *err);

/* The model as the hub lists it today (offline: rz_hub_find). Downloads no model file. Errors: also
 * RZ_ENET, RZ_EREMOTE (no such repository, revision or file, or no right to it), RZ_ELOAD (nothing
 * in it that apr can run), RZ_ENOTBUILT, RZ_ECANCEL. */
RZ_API RZ_MUST_USE rz_status rz_hub_resolve(rz_hub_model **out, const rz_hub_ref *ref,
                                            const rz_hub_options *options, rz_error *err);

/* Downloads the files that are not present. On failure those that were completed stay, the others
 * are resumed by the next call. Errors: RZ_ENET, RZ_EREMOTE, RZ_EINVALID (a hash or size is
 * wrong; a file of another content is in the way), RZ_EIO (also: not enough space), RZ_ENOTBUILT,
 * RZ_ECANCEL, RZ_ENOMEM. */
RZ_API RZ_MUST_USE rz_status rz_hub_pull(rz_hub_model *model, const rz_hub_options *options,
                                         rz_error *err);

RZ_API void rz_hub_model_free(rz_hub_model **model);
RZ_API const char *rz_hub_model_path(const rz_hub_model *model); /* file or folder to open */
RZ_API const char *rz_hub_model_repo(const rz_hub_model *model); /* or the URL */
RZ_API const char *rz_hub_model_commit(const rz_hub_model *model);
RZ_API const char *rz_hub_model_quant(const rz_hub_model *model); /* "": not known */
RZ_API rz_hub_format rz_hub_model_format(const rz_hub_model *model);
RZ_API size_t rz_hub_model_n_files(const rz_hub_model *model);
RZ_API const rz_hub_file *rz_hub_model_file(const rz_hub_model *model, size_t i);
RZ_API bool rz_hub_model_is_present(const rz_hub_model *model);

/* One model of the caches. */
typedef struct rz_hub_entry {
    char *name; /* "org/repo", or the URL */
    char *path;
    char commit[RZ_HUB_COMMIT_MAX];
    char quant[RZ_HUB_QUANT_MAX];
    rz_hub_format format;
    uint64_t n_bytes;
    int64_t time_s; /* of the entry's file, since 1970 */
    bool foreign;   /* in Hugging Face's cache */
} rz_hub_entry;

typedef struct rz_hub_entries {
    rz_hub_entry *items;
    size_t n;
    uint64_t partial_bytes; /* of downloads that were not finished */
} rz_hub_entries;

/* The complete models in both caches, by name. No cache folder: none. Errors: RZ_EIO, RZ_ENOMEM. */
RZ_API RZ_MUST_USE rz_status rz_hub_list(rz_hub_entries *out, const rz_hub_options *options,
                                         rz_error *err);
RZ_API void rz_hub_entries_free(rz_hub_entries *entries);

typedef struct rz_hub_removed {
    uint64_t n_bytes;
    size_t n_files;
} rz_hub_removed;

/* Removes from the cache (never from Hugging Face's) what the reference means: a repository with
 * all that was downloaded of it, unfinished parts included; with a quantization, file or revision
 * only that. dry_run: only counts. Errors: RZ_ENOTFOUND, RZ_EIO, RZ_ENOMEM. */
RZ_API RZ_MUST_USE rz_status rz_hub_remove(rz_hub_removed *out, const rz_hub_ref *ref,
                                           const rz_hub_options *options, bool dry_run,
                                           rz_error *err);

/* ---- other servers ---- */

enum {
    RZ_HTTP_ANSWER_MAX = 16 << 20
};

typedef struct rz_http_answer {
    char *data; /* [len] and a NUL */
    size_t len;
} rz_http_answer;

/* POSTs a JSON text to a server that the user named (not the hub: no token, no redirects, no
 * retries) and returns what it answers with status 200. stop is asked now and then, true gives up;
 * NULL: never. *out is the caller's, empty on failure. Errors: RZ_ENET, RZ_EREMOTE (another
 * status), RZ_EFORMAT (more than RZ_HTTP_ANSWER_MAX bytes), RZ_ENOTBUILT, RZ_ECANCEL, RZ_ENOMEM. */
RZ_API RZ_MUST_USE rz_status rz_http_post_json(rz_http_answer *out, const char *url,
                                               const char *body, bool (*stop)(void), rz_error *err);
RZ_API void rz_http_answer_free(rz_http_answer *answer);

#ifdef __cplusplus
}
#endif
#endif
