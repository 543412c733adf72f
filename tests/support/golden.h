/* golden.h - what the golden tests share: finding files, reading the expected values, running a
 * model. Everything that goes wrong fails the running cmocka test. */
#ifndef RZ_TESTS_SUPPORT_GOLDEN_H
#define RZ_TESTS_SUPPORT_GOLDEN_H

#include <realizar/engine.h>

enum {
    GOLDEN_PATH_MAX = 4096
};

/* "<repository>/name"; "<shared fixtures>/name", false (and said so) where there are none. */
void golden_repo_path(char path[GOLDEN_PATH_MAX], const char *name);
bool golden_shared_path(char path[GOLDEN_PATH_MAX], const char *name);

/* A JSON file; decref it. */
struct json_t;
struct json_t *golden_json(const char *path);
/* An array of integers; free it. */
int32_t *golden_ids(const struct json_t *array, size_t *n);
/* n float32 values of a file; free them. */
float *golden_floats(const char *path, size_t n);

/* A model with one engine and one session in it. */
struct golden_run {
    rz_model *model;
    rz_engine *engine;
    rz_session *session;
    uint32_t n_vocab;
};
/* n_ctx 0: the model's; n_threads 0: all. */
void golden_open(struct golden_run *r, const char *path, uint32_t n_ctx, uint32_t n_threads);
void golden_close(struct golden_run *r);

/* Makes the session exactly ids; the logits after them, borrowed. */
const float *golden_logits(struct golden_run *r, const int32_t *ids, size_t n);

/* Greedy continuation of ids until an end token or n_max tokens; returns their number. */
size_t golden_greedy(struct golden_run *r, const int32_t *ids, size_t n, int32_t *out,
                     size_t n_max);

double golden_max_diff(const float *a, const float *b, size_t n);
double golden_cosine(const float *a, const float *b, size_t n);
int32_t golden_argmax(const float *x, size_t n);

#endif
