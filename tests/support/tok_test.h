/* tok_test.h - what the tokenizer's tests share: opening models, JSON cases, encoding. A failure
 * inside these fails the running cmocka test. */
#ifndef RZ_TESTS_SUPPORT_TOK_TEST_H
#define RZ_TESTS_SUPPORT_TOK_TEST_H

#include <jansson.h>
#include <realizar/tokenizer.h>

enum {
    TT_PATH_MAX = 4096
};

struct tok_model {
    rz_file *file;
    rz_tokenizer *tok;
};

/* A file of the repository. */
const char *tt_repo_path(const char *relative, char path[TT_PATH_MAX]);
/* A file of the shared fixtures, or NULL where there are none. */
const char *tt_shared_path(const char *relative, char path[TT_PATH_MAX]);

json_t *tt_load_json(const char *path);
void tt_open(struct tok_model *m, const char *path);
void tt_close(struct tok_model *m);

/* Encodes into ids, emptied first. */
void tt_encode(const rz_tokenizer *tok, const char *text, size_t len, unsigned flags, rz_ids *ids);

/* Whether ids are those of the JSON array; says where not. */
bool tt_same_ids(const rz_ids *ids, const json_t *expected, const char *text);

/* The text of ids through the streaming detokenizer, in a text that the caller frees. */
void tt_decode(const rz_tokenizer *tok, const rz_ids *ids, bool keep_special, rz_text *out);

#endif
