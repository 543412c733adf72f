/* fuzz_safetensors.c - any bytes as a SafeTensors file: refused with a sentence, or
 * the first and last byte of every tensor can be read, and no two tensors share bytes. */
#include "formats/safetensors.h"
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

static void read_as(enum rz_st_names names, const uint8_t *data, size_t size)
{
    rz_file *file = NULL;
    rz_error err = {0};
    rz_status status = rz_st_open_memory(&file, "fuzz", data, size, names, &err);
    if (status) {
        CHECK(!file && err.code == status && strncmp(err.text, "fuzz: ", 6) == 0);
        CHECK(status == RZ_EFORMAT || status == RZ_ELOAD);
        return;
    }
    size_t total = 0;
    for (size_t i = 0; i < rz_file_n_tensors(file); i++) {
        const rz_tensor *t = rz_file_tensor_at(file, i);
        CHECK(t->n_bytes <= size && t->file_offset <= size - t->n_bytes);
        CHECK((const uint8_t *)t->data == data + t->file_offset);
        total += t->n_bytes;
    }
    CHECK(total <= size); /* nothing overlaps */
    read_all(file);
    rz_file_close(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_as(RZ_ST_MODEL, data, size);
    read_as(RZ_ST_AS_IS, data, size);
    return 0;
}
