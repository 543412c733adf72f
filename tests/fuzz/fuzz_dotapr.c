/* fuzz_dotapr.c - any bytes as an .apr file of either version: refused with a sentence, or
 * everything in it can be read. The checksums that would keep a fuzzer out are mended first. */
#include "formats/dotapr.h"
#include "support/dotapr_build.h"
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

static void mend(uint8_t *data, size_t size)
{
    if (rz_apr_probe(data, size) && size >= RZ_APR_HEADER_BYTES)
        ab_seal(data);
    if (rz_apr1_probe(data, size) && size >= 36) {
        uint32_t crc = rz_apr_crc(0, data, size - 4);
        memcpy(data + size - 4, &crc, 4);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rz_file *file = NULL;
    rz_error err = {0};
    uint8_t *copy = malloc(size + 1);
    CHECK(copy != NULL);
    if (size)
        memcpy(copy, data, size);
    mend(copy, size);
    rz_status status = rz_apr_open_memory(&file, "fuzz", copy, size, &err);
    if (status) {
        CHECK(!file && err.code == status && strncmp(err.text, "fuzz: ", 6) == 0);
        CHECK(status == RZ_EFORMAT || status == RZ_ELOAD);
    } else {
        for (size_t i = 0; i < rz_file_n_tensors(file); i++) {
            const rz_tensor *t = rz_file_tensor_at(file, i);
            CHECK(t->n_bytes > 0 && t->n_dims >= 1 && t->n_dims <= RZ_MAX_DIMS);
        }
        read_all(file);
        rz_file_close(&file);
    }
    free(copy);
    return 0;
}
