/* fuzz_imatrix.c - any bytes as an importance matrix: refused with a sentence, or every matrix is
 * found by its name and holds finite values that are not negative. */
#include "formats/imatrix.h"

#include <math.h>
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
    struct rz_imatrix *m = NULL;
    rz_error err = {0};
    rz_status status = rz_imatrix_open_memory(&m, "fuzz", data, size, &err);
    if (status) {
        CHECK(!m && err.code == status && strncmp(err.text, "fuzz: ", 6) == 0);
        CHECK(status == RZ_EFORMAT || status == RZ_ELOAD);
        return 0;
    }
    uint64_t total = 0, n;
    for (size_t i = 0; i < rz_imatrix_len(m); i++) {
        const float *values = rz_imatrix_find(m, rz_imatrix_name(m, i), &n);
        CHECK(values && n > 0);
        for (uint64_t k = 0; k < n; k++)
            CHECK(values[k] >= 0 && !isinf(values[k]));
        total += n;
    }
    CHECK(total > 0 && total <= size / sizeof(float));
    rz_imatrix_free(&m);
    return 0;
}
