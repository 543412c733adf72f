/* fuzz_hf_index.c - any bytes as the model.safetensors.index.json of two good shards: refused with
 * a sentence, or every tensor of the shards that it names is there and can be read.
 *
 * The shards stand in a folder of their own, which is made for the first input. */
#include "formats/hf.h"
#include "support/read_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static char folder[] = "/tmp/rz-fuzz-index.XXXXXX";
static const char *const shards[][2] = {
    {"a.safetensors",
     "{\"model.embed_tokens.weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}"},
    {"b.safetensors",
     "{\"lm_head.weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}"}};

static void shard_path(char path[64], size_t i)
{
    snprintf(path, 64, "%s/%s", folder, shards[i][0]);
}

static void remove_folder(void)
{
    char path[64];
    for (size_t i = 0; i < 2; i++) {
        shard_path(path, i);
        unlink(path);
    }
    rmdir(folder);
}

static void make_folder(void)
{
    char path[64];
    static const char zeros[16] = {0};
    CHECK(mkdtemp(folder));
    CHECK(!atexit(remove_folder));
    for (size_t i = 0; i < 2; i++) {
        shard_path(path, i);
        FILE *f = fopen(path, "wb");
        uint64_t n = strlen(shards[i][1]);
        CHECK(f && fwrite(&n, 1, 8, f) == 8 && fwrite(shards[i][1], 1, n, f) == n);
        CHECK(fwrite(zeros, 1, sizeof zeros, f) == sizeof zeros && !fclose(f));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool made;
    if (!made)
        make_folder();
    made = true;
    rz_file *file = NULL;
    rz_error err = {0};
    CHECK(!rz_file_new(&file, folder, &err));
    struct rz_hf h = {.file = file, .dir = "fuzz", .name = "", .err = &err};
    const rz_slice text = {.data = (const char *)data, .len = size};
    rz_status status = rz_hf_read_index(&h, folder, text, "fuzz");
    if (status) {
        CHECK(err.code == status && *err.text);
        CHECK(status == RZ_EFORMAT || status == RZ_ELOAD || status == RZ_ENOTFOUND);
    } else {
        CHECK(rz_file_n_tensors(file) == rz_file_n_shards(file)); /* one in each */
        rz_file_seal(file);
        read_all(file);
    }
    rz_file_close(&file);
    return 0;
}
