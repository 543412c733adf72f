/* fuzz_hf_json.c - the documents of a Hugging Face model, with fixed weights: refused with a
 * sentence, or every metadata element can be read.
 *
 * The input is config.json, generation_config.json, tokenizer.json, tokenizer_config.json and
 * chat_template.jinja, separated by the byte 1E; a document of the one byte 15 is absent. */
#include "formats/hf.h"
#include "support/read_all.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum {
    SEPARATOR = 0x1E,
    ABSENT = 0x15,
    N_ROWS = 8
};

#define HEADER                                                                                     \
    "{\"model.embed_tokens.weight\":{\"dtype\":\"F32\",\"shape\":[8,2],\"data_offsets\":[0,64]},"  \
    "\"lm_head.weight\":{\"dtype\":\"F32\",\"shape\":[8,2],\"data_offsets\":[64,128]}}"

/* A good SafeTensors file with an embedding and a head of N_ROWS rows. */
static const struct {
    uint64_t n_header;
    char header[sizeof HEADER - 1];
    char data[2 * N_ROWS * 2 * 4];
} __attribute__((packed)) weights = {sizeof HEADER - 1, HEADER, {0}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rz_slice docs[RZ_HF_N_DOCS] = {{NULL, 0}};
    const char *at = (const char *)data, *end = at + size;
    for (int id = 0; id < RZ_HF_N_DOCS && at < end; id++) {
        const char *stop = memchr(at, SEPARATOR, (size_t)(end - at));
        size_t len = (size_t)((stop ? stop : end) - at);
        if (len != 1 || *at != ABSENT)
            docs[id] = (rz_slice){.data = at, .len = len};
        at = stop ? stop + 1 : end;
    }
    rz_file *file = NULL;
    rz_error err = {0};
    const rz_slice bytes = {.data = (const char *)&weights, .len = sizeof weights};
    rz_status status = rz_hf_open_memory(&file, "fuzz", bytes, docs, &err);
    if (status) {
        CHECK(!file && err.code == status && strncmp(err.text, "fuzz", 4) == 0);
        CHECK(status == RZ_EFORMAT || status == RZ_ELOAD || status == RZ_ENOTFOUND);
        return 0;
    }
    read_all(file);
    rz_file_close(&file);
    return 0;
}
