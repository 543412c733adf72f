/* hf_dir.c - opening a Hugging Face model: a directory, one of its .safetensors files, or its
 * index.
 *
 * Whichever is named, the documents of the same folder belong to it. Nothing outside of that folder
 * is opened, unless a name in it is a symbolic link, as in Hugging Face's own cache. A file alone,
 * without config.json, is tensors under their own names: no model, but it can be looked at.
 * Source: transformers' from_pretrained, for which names are looked for and in which order. */
#include "base/checked.h"
#include "base/fail.h"
#include "base/utf8.h"
#include "formats/hf.h"
#include "formats/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ONE_FILE   "model.safetensors"
#define INDEX_FILE "model.safetensors.index.json"

enum {
    MAX_TOKENIZER_BYTES = 256 << 20, /* Gemma's is 33 MB */
    MAX_INDEX_BYTES = 64 << 20,
    DOC_ARENA_FACTOR = 4, /* metadata in the arena per byte of a document */
    ROW_ARENA_BYTES = 48  /* and per row of the embedding: an unused token's text, start and type */
};

/* ---- documents ---- */

static rz_status join(char **path, const char *folder, const char *name, rz_error *err)
{
    if (asprintf(path, "%s/%s", folder, name) >= 0)
        return RZ_OK;
    *path = NULL;
    return rz_fail_nomem(err, strlen(folder) + strlen(name), "a file name");
}

static rz_status map_doc(struct rz_hf *h, const char *folder, enum rz_hf_doc_id id)
{
    struct rz_hf_doc *doc = &h->docs[id];
    char *path;
    RZ_TRY(join(&path, folder, rz_hf_doc_name(id), h->err));
    rz_error ignored;
    rz_status status = rz_map_open(&doc->map, path, &ignored);
    if (status && status != RZ_ENOTFOUND)
        status = rz_fail(h->err, status, "%s", ignored.text);
    else if (!status)
        doc->text = (rz_slice){.data = doc->map.data ? (const char *)doc->map.data : "",
                               .len = doc->map.len};
    free(path);
    return status == RZ_ENOTFOUND ? RZ_OK : status;
}

static rz_status map_docs(struct rz_hf *h, const char *folder)
{
    for (int id = 0; id < RZ_HF_N_DOCS; id++)
        RZ_TRY(map_doc(h, folder, (enum rz_hf_doc_id)id));
    return RZ_OK;
}

static rz_status check_docs(struct rz_hf *h)
{
    for (int id = 0; id < RZ_HF_N_DOCS; id++) {
        rz_slice text = h->docs[id].text;
        size_t max = id == RZ_HF_TOKENIZER ? MAX_TOKENIZER_BYTES : RZ_HF_MAX_TREE_BYTES;
        if (text.len > max)
            return rz_hf_bad(h, RZ_EFORMAT, (enum rz_hf_doc_id)id, "%zu bytes, at most %zu",
                             text.len, max);
        if (id == RZ_HF_TEMPLATE && rz_utf8_valid(text.data, text.len) != text.len)
            return rz_hf_bad(h, RZ_EFORMAT, RZ_HF_TEMPLATE, "not UTF-8");
        h->file->arena.max_bytes += DOC_ARENA_FACTOR * text.len;
    }
    if (!h->docs[RZ_HF_CONFIG].text.data)
        return rz_fail(h->err, RZ_ENOTFOUND,
                       "%s: config.json is missing; SafeTensors files hold weights only, and what "
                       "model they are of stands in the config.json beside them",
                       h->dir);
    return RZ_OK;
}

static rz_status parse_optional(struct rz_hf *h, enum rz_hf_doc_id id, json_t **out)
{
    if (!h->docs[id].text.data)
        return RZ_OK;
    RZ_TRY(rz_hf_parse(h, id, h->docs[id].text, out));
    return json_is_object(*out) ? RZ_OK : rz_hf_bad(h, RZ_EFORMAT, id, "not a JSON object");
}

static rz_status parse_docs(struct rz_hf *h)
{
    RZ_TRY(check_docs(h));
    RZ_TRY(parse_optional(h, RZ_HF_CONFIG, &h->config));
    RZ_TRY(parse_optional(h, RZ_HF_GENERATION, &h->generation));
    return parse_optional(h, RZ_HF_TOKENIZER_CONFIG, &h->tokenizer_config);
}

static void fini(struct rz_hf *h)
{
    json_decref(h->config);
    json_decref(h->generation);
    json_decref(h->tokenizer_config);
    for (int id = 0; id < RZ_HF_N_DOCS; id++)
        rz_map_close(&h->docs[id].map);
}

/* ---- weights ---- */

static rz_status add_rope_factors(struct rz_hf *h)
{
    if (!h->rope_factors)
        return RZ_OK;
    uint32_t n = h->head_dim / 2;
    rz_tensor t = {.name = "rope_freqs.weight",
                   .dtype = RZ_F32,
                   .n_dims = 1,
                   .shape = {n, 1, 1, 1},
                   .data = h->rope_factors,
                   .n_bytes = n * sizeof *h->rope_factors};
    enum rz_add_result result = rz_file_add_tensor(h->file, &t);
    RZ_ASSERT(result == RZ_ADDED || result == RZ_ADD_NOMEM);
    return result == RZ_ADDED ? RZ_OK : rz_fail_nomem(h->err, sizeof t, "tensors");
}

rz_status rz_hf_check_weights(struct rz_hf *h)
{
    const rz_tensor *embed = rz_file_tensor(h->file, "token_embd.weight");
    if (!embed)
        return rz_fail(h->err, RZ_EFORMAT, "%s: tensor model.embed_tokens.weight is missing",
                       h->dir);
    if (embed->n_dims != 2 || embed->shape[0] != h->n_vocab)
        return rz_hf_bad(h, RZ_EFORMAT, RZ_HF_CONFIG,
                         "vocab_size is %u, and model.embed_tokens.weight has %llu rows",
                         h->n_vocab, (unsigned long long)embed->shape[0]);
    if (!h->tied && !rz_file_tensor(h->file, "output.weight"))
        return rz_fail(h->err, RZ_EFORMAT,
                       "%s: tensor lm_head.weight is missing, and config.json's "
                       "tie_word_embeddings is not true",
                       h->dir);
    h->file->arena.max_bytes += (size_t)h->n_vocab * ROW_ARENA_BYTES;
    return add_rope_factors(h);
}

/* ---- opening ---- */

/* Reads the weights; folder is where they lie. */
typedef rz_status weights_fn(struct rz_hf *h, const char *folder);

static rz_status read_first_shard(struct rz_hf *h, const char *folder)
{
    (void)folder;
    return rz_st_read_shard(h->file, 0, h->tied ? RZ_ST_TIED : RZ_ST_MODEL, h->err);
}

static rz_status read_one_file(struct rz_hf *h, const char *folder)
{
    char *path;
    RZ_TRY(join(&path, folder, ONE_FILE, h->err));
    rz_status status = rz_file_map_shard(h->file, path, h->err);
    free(path);
    return status ? status : read_first_shard(h, folder);
}

/* index: the name of the index in folder. */
static rz_status read_index_file(struct rz_hf *h, const char *folder, const char *index)
{
    char *path;
    struct rz_map map;
    RZ_TRY(join(&path, folder, index, h->err));
    rz_status status = rz_map_open(&map, path, h->err);
    if (!status && map.len > MAX_INDEX_BYTES)
        status = rz_fail(h->err, RZ_EFORMAT, "%s: %zu bytes, at most %d", path, map.len,
                         MAX_INDEX_BYTES);
    rz_slice text = {.data = (const char *)map.data, .len = map.len};
    if (!status)
        status = rz_hf_read_index(h, folder, text, path);
    rz_map_close(&map);
    free(path);
    return status;
}

static rz_status read_index(struct rz_hf *h, const char *folder)
{
    return read_index_file(h, folder, INDEX_FILE);
}

/* The index that the file was opened by. */
static rz_status read_named_index(struct rz_hf *h, const char *folder)
{
    const char *slash = strrchr(h->file->path, '/');
    return read_index_file(h, folder, slash ? slash + 1 : h->file->path);
}

static rz_status read_all(struct rz_hf *h, const char *folder, weights_fn *read_weights)
{
    RZ_TRY(parse_docs(h));
    RZ_TRY(rz_hf_read_config(h));
    RZ_TRY(read_weights(h, folder));
    RZ_TRY(rz_hf_check_weights(h));
    RZ_TRY(rz_hf_read_tokenizer(h));
    rz_file_seal(h->file);
    return RZ_OK;
}

/* A label as messages show it: the path, or its end. */
static void shorten(char label[RZ_MAX_PATH_SHOWN + 1], const char *path)
{
    size_t len = strlen(path);
    const char *from = len > RZ_MAX_PATH_SHOWN ? path + len - RZ_MAX_PATH_SHOWN : path;
    snprintf(label, RZ_MAX_PATH_SHOWN + 1, "%s", from);
    if (from != path)
        memset(label, '.', 3);
}

static rz_status read_model(struct rz_file *file, const char *folder, weights_fn *read_weights,
                            rz_error *err)
{
    char label[RZ_MAX_PATH_SHOWN + 1];
    shorten(label, folder);
    const char *slash = strrchr(folder, '/'), *name = slash ? slash + 1 : folder;
    struct rz_hf h = {.file = file, .dir = label, .name = *name == '.' ? "" : name, .err = err};
    file->format = "SafeTensors";
    rz_status status = map_docs(&h, folder);
    if (!status)
        status = read_all(&h, folder, read_weights);
    fini(&h);
    return status;
}

static bool exists(const char *folder, const char *name)
{
    char *path;
    struct rz_map map;
    if (join(&path, folder, name, NULL))
        return false;
    bool found = rz_map_open(&map, path, NULL) == RZ_OK;
    rz_map_close(&map);
    free(path);
    return found;
}

rz_status rz_hf_read_dir(struct rz_file *file, rz_error *err)
{
    char *folder = strdup(file->path);
    if (!folder)
        return rz_fail_nomem(err, strlen(file->path) + 1, "a file name");
    for (size_t n = strlen(folder); n > 1 && folder[n - 1] == '/'; n--)
        folder[n - 1] = '\0';
    rz_status status;
    if (exists(folder, ONE_FILE))
        status = read_model(file, folder, read_one_file, err);
    else if (exists(folder, INDEX_FILE))
        status = read_model(file, folder, read_index, err);
    else
        status = rz_fail(err, RZ_ENOTFOUND,
                         "%s: a directory with neither " ONE_FILE " nor " INDEX_FILE, file->path);
    free(folder);
    return status;
}

/* The folder of the file's path: owned by the caller. */
static rz_status folder_of(const struct rz_file *file, char **folder, rz_error *err)
{
    const char *slash = strrchr(file->path, '/');
    size_t len = slash ? (size_t)(slash - file->path) : 1;
    *folder = slash ? strndup(file->path, len ? len : 1) : strdup(".");
    return *folder ? RZ_OK : rz_fail_nomem(err, len, "a file name");
}

/* NAME-00001-of-00003.safetensors */
static bool is_part(const char *name)
{
    unsigned no, count;
    int end = 0;
    const char *at = strstr(name, "-of-");
    if (!at || at - name < 6)
        return false;
    return sscanf(at - 6, "-%5u-of-%5u.safetensors%n", &no, &count, &end) == 2 && end > 0 &&
           at[end - 6] == '\0';
}

/* Weights that no config.json stands beside: tensors to be looked at. */
static rz_status read_bare(struct rz_file *file, rz_error *err)
{
    file->format = "SafeTensors";
    RZ_TRY(rz_st_read_shard(file, 0, RZ_ST_AS_IS, err));
    rz_file_seal(file);
    return RZ_OK;
}

rz_status rz_st_read(struct rz_file *file, rz_error *err)
{
    const char *slash = strrchr(file->path, '/');
    char *folder;
    RZ_TRY(folder_of(file, &folder, err));
    if (!exists(folder, rz_hf_doc_name(RZ_HF_CONFIG))) {
        free(folder);
        return read_bare(file, err);
    }
    weights_fn *read_weights = read_first_shard;
    if (is_part(slash ? slash + 1 : file->path)) {
        /* The file was mapped to see what it is; the index maps all of them in its own order. */
        rz_file_clear(file);
        read_weights = read_index;
    }
    rz_status status = read_model(file, folder, read_weights, err);
    free(folder);
    return status;
}

bool rz_st_index_probe(const uint8_t *data, size_t len)
{
    size_t i = 0;
    while (i < len && i < 64 &&
           (data[i] == ' ' || data[i] == '\n' || data[i] == '\r' || data[i] == '\t'))
        i++;
    return i < len && data[i] == '{' &&
           memmem(data, rz_min_size(len, MAX_INDEX_BYTES), "\"weight_map\"", 12) != NULL;
}

rz_status rz_st_index_read(struct rz_file *file, rz_error *err)
{
    char *folder;
    RZ_TRY(folder_of(file, &folder, err));
    rz_file_clear(file);
    rz_status status = read_model(file, folder, read_named_index, err);
    free(folder);
    return status;
}

rz_status rz_hf_open_memory(rz_file **out, const char *name, rz_slice weights,
                            const rz_slice docs[RZ_HF_N_DOCS], rz_error *err)
{
    struct rz_file *file;
    RZ_TRY(rz_file_new(&file, name, err));
    file->format = "SafeTensors";
    struct rz_hf h = {.file = file, .dir = name, .name = "", .err = err};
    for (int id = 0; id < RZ_HF_N_DOCS; id++)
        h.docs[id].text = docs[id];
    rz_status status = rz_file_borrow_shard(file, name, weights.data, weights.len, err);
    if (!status)
        status = read_all(&h, NULL, read_first_shard);
    fini(&h);
    if (status)
        rz_file_close(&file);
    *out = file;
    return status;
}
