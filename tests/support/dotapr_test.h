/* dotapr_test.h - what the tests of reading .apr files share: open bytes, expect a refusal, look at
 * metadata. Each fails the test when it is not as expected. */
#ifndef RZ_TESTS_SUPPORT_DOTAPR_TEST_H
#define RZ_TESTS_SUPPORT_DOTAPR_TEST_H

#include "formats/dotapr.h"
#include "support/dotapr_build.h"

/* The file; data outlives it. */
rz_file *at_open(const uint8_t *data, size_t len);
/* Opening fails with this code and these words in the sentence. */
void at_refuse(const uint8_t *data, size_t len, rz_status code, const char *words);
/* Opens or is refused with a sentence; from an exactly sized copy. */
void at_probe(const uint8_t *data, size_t len);

int64_t at_integer(const rz_file *file, const char *key);
double at_number(const rz_file *file, const char *key);
/* Element i is that text. */
void at_text_is(const rz_file *file, const char *key, uint64_t i, const char *expected);

/* Whether the last four bytes of a version 2 file (of its plain image, if it is compressed) are the
 * CRC-32 of all before them. */
bool at_footer_is_right(const rz_file *file);

/* A folder with room for one file; at_scratch_remove expects nothing else in it. */
struct at_scratch {
    char dir[64], path[128];
};
void at_scratch_make(struct at_scratch *s);
void at_scratch_remove(const struct at_scratch *s);

#endif
