/* fuzz_gguf.c - any bytes as a GGUF file: refused with a sentence, or every metadata element and
 * the first and last byte of every tensor can be read. */
#include "formats/gguf.h"
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rz_file *file = NULL;
    rz_error err = {0};
    rz_status status = rz_gguf_open_memory(&file, "fuzz", data, size, &err);
    if (status) {
        CHECK(!file && err.code == status && strncmp(err.text, "fuzz: ", 6) == 0);
        CHECK(status == RZ_EFORMAT || status == RZ_ELOAD);
        return 0;
    }
    for (size_t i = 0; i < rz_file_n_tensors(file); i++) {
        const rz_tensor *t = rz_file_tensor_at(file, i);
        CHECK(t->n_bytes <= size && t->file_offset <= size - t->n_bytes);
        CHECK((const uint8_t *)t->data == data + t->file_offset);
    }
    read_all(file);
    rz_file_close(&file);
    return 0;
}
