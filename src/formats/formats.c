/* formats.c - opening a model file, whatever its container: the table of readers.
 *
 * A reader is chosen by content, never by name. To add one: a row here, and a file that fills a
 * struct rz_file. What no reader knows is refused with a guess at what it is. */
#include "base/fail.h"
#include "formats/dotapr.h"
#include "formats/file.h"
#include "formats/gguf.h"
#include "formats/hf.h"
#include "formats/safetensors.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
    bool (*probe)(const uint8_t *data, size_t len);
    /* Fills the file, whose shard 0 is mapped, and seals it. */
    rz_status (*read)(struct rz_file *file, rz_error *err);
} readers[] = {
    {rz_gguf_probe, rz_gguf_read},         {rz_st_probe, rz_st_read},
    {rz_st_index_probe, rz_st_index_read}, {rz_apr_probe, rz_apr_read},
    {rz_apr1_probe, rz_apr1_read},
};

#define SUPPORTED "supported: GGUF versions 2 and 3, SafeTensors, .apr"

/* Beginnings by which people's mistakes are known. */
static const struct {
    const char *magic, *what;
} strangers[] = {
    {"version https://git-lfs", "a Git LFS pointer, not the file itself (git lfs pull fetches it)"},
    {"<!DOCTYPE", "an HTML page, perhaps a failed download"},
    {"<!doctype", "an HTML page, perhaps a failed download"},
    {"<html", "an HTML page, perhaps a failed download"},
    {"<HTML", "an HTML page, perhaps a failed download"},
    {"FUGG", "a GGUF file with its bytes swapped"},
    {"lmgg", "a GGML file from before GGUF"},
    {"fmgg", "a GGML file from before GGUF"},
    {"tjgg", "a GGML file from before GGUF"},
    {"algg", "a GGML adapter from before GGUF"},
    {"APR1", "an .apr file as whisper.apr wrote it before version 2, not supported"},
    {"PK\x03\x04", "a ZIP archive, such as a PyTorch checkpoint"},
    {"\x1F\x8B", "a gzip archive"},
    {"\x28\xB5\x2F\xFD", "a Zstandard archive"},
    {"\x80\x02", "a Python pickle"},
    {"\x7F"
     "ELF",
     "an ELF program"},
    {"{", "JSON text"},
};

static rz_status refuse_stranger(const struct rz_shard *shard, rz_error *err)
{
    const uint8_t *data = shard->data;
    size_t len = shard->len;
    if (len == 0)
        return rz_fail(err, RZ_EFORMAT, "%s: the file is empty", shard->label);
    for (size_t i = 0; i < RZ_ARRAY_LEN(strangers); i++) {
        size_t n = strlen(strangers[i].magic);
        if (len >= n && memcmp(data, strangers[i].magic, n) == 0)
            return rz_fail(err, RZ_EFORMAT, "%s: %s (" SUPPORTED ")", shard->label,
                           strangers[i].what);
    }
    char start[3 * 8 + 1] = "";
    for (size_t i = 0; i < len && i < 8; i++)
        snprintf(start + 3 * i, sizeof start - 3 * i, "%02x ", data[i]);
    start[strlen(start) - 1] = '\0';
    return rz_fail(err, RZ_EFORMAT, "%s: not a model file, starts with bytes %s (" SUPPORTED ")",
                   shard->label, start);
}

static rz_status read_any(struct rz_file *file, rz_error *err)
{
    const struct rz_shard *shard = &file->shards[0];
    for (size_t i = 0; i < RZ_ARRAY_LEN(readers); i++)
        if (readers[i].probe(shard->data, shard->len))
            return readers[i].read(file, err);
    return refuse_stranger(shard, err);
}

rz_status rz_file_open_for(rz_file **out, const char *path, enum rz_file_use use, rz_error *err)
{
    struct rz_file *file;
    struct stat st;
    rz_status status;
    *out = NULL;
    RZ_TRY(rz_file_new(&file, path, err));
    file->read_ahead = use == RZ_FILE_PRODUCTS;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        status = rz_hf_read_dir(file, err);
    } else {
        status = rz_file_map_shard(file, path, err);
        if (!status)
            status = read_any(file, err);
    }
    if (!status && use == RZ_FILE_ROWS)
        status = rz_file_unpack(file, err);
    if (status)
        rz_file_close(&file);
    *out = file;
    return status;
}

rz_status rz_file_open(rz_file **out, const char *path, rz_error *err)
{
    return rz_file_open_for(out, path, RZ_FILE_ROWS, err);
}

rz_status rz_file_open_packed(rz_file **out, const char *path, rz_error *err)
{
    return rz_file_open_for(out, path, RZ_FILE_LOOK, err);
}
