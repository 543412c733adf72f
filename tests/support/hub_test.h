/* hub_test.h - what the tests of downloads share: a fake hub with some files, a folder of its own,
 * options with short times, and questions about the outcome. */
#ifndef RZ_TESTS_SUPPORT_HUB_TEST_H
#define RZ_TESTS_SUPPORT_HUB_TEST_H

#include "support/fake_hub.h"

#include <realizar/hub.h>

#define HUB_COMMIT "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd"

struct hub_test {
    struct fake_hub hub;
    rz_hub_options options;
    char dir[64], cache[96], hf_cache[96], out[96];
    char *data[FAKE_MAX_FILES];
    rz_error err;
};

/* A hub "org/repo" with no files, a scratch folder. */
void hub_test_init(struct hub_test *t);
/* A file of pseudo-random bytes, listed with SHA-256 and with an ETag. */
struct fake_file *hub_test_add(struct hub_test *t, const char *name, size_t len);
/* The same with a text as its content, listed with git's hash. */
struct fake_file *hub_test_add_text(struct hub_test *t, const char *name, const char *text);
void hub_test_start(struct hub_test *t);
void hub_test_fini(struct hub_test *t);

/* Resolve and pull; *path (may be NULL) is malloc'ed on success. */
rz_status hub_test_pull(struct hub_test *t, const char *ref, char **path);
/* The same, and the status must be this one, with the words in its sentence. */
void hub_test_pull_fails(struct hub_test *t, const char *ref, rz_status status, const char *words);
/* {cache}/org--repo/{HUB_COMMIT}/name, in a static buffer. */
const char *hub_test_path(struct hub_test *t, const char *name);
/* The file at path has this content. */
void hub_test_same(const char *path, const struct fake_file *f);
bool hub_test_exists(const char *path);
/* Regular files under a folder whose names end so; counts symbolic links too. */
unsigned hub_test_count(const char *folder, const char *end);
void hub_test_write(const char *path, const void *data, size_t len);

#endif
