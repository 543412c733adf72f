/* decode_step.c - runs one decode step after a warm-up, for `valgrind --tool=callgrind
 * --toggle-collect=decode_step`: the number of instructions does not depend on how busy the machine
 * is.
 *
 *     decode_step MODEL.gguf [scalar|avx2|avx512|amx]
 */
#include <realizar/engine.h>

#include <stdio.h>
#include <stdlib.h>

static void check(rz_status status, const rz_error *err)
{
    if (status) {
        fprintf(stderr, "decode_step: %s\n", err->text);
        exit(1);
    }
}

/* Not static: callgrind finds it by its name. */
void decode_step(rz_session *session, int32_t id, rz_error *err);

__attribute__((noinline)) void decode_step(rz_session *session, int32_t id, rz_error *err)
{
    check(rz_session_feed(session, &id, 1, err), err);
}

int main(int argc, char **argv)
{
    rz_model *model;
    rz_engine *engine;
    rz_session *session;
    rz_error err = {0};
    const int32_t first[2] = {1, 2};
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: decode_step MODEL.gguf [LEVEL]\n");
        return 2;
    }
    rz_model_options options = rz_model_options_default();
    options.n_threads = 1; /* workers wait in a loop, which would be counted */
    if (argc > 2)
        check(rz_cpu_level_mask(argv[2], &options.cpu_mask, &err), &err);
    check(rz_model_open(&model, argv[1], &options, &err), &err);
    rz_engine_options e = rz_engine_options_default();
    e.n_ctx = 64;
    e.n_batch = 2;
    check(rz_engine_new(&engine, model, &e, &err), &err);
    check(rz_session_new(&session, engine, &err), &err);
    check(rz_session_feed(session, first, 2, &err), &err);
    decode_step(session, 3, &err);
    printf("%s\n", rz_model_get_info(model)->cpu_level);
    rz_session_free(&session);
    rz_engine_free(&engine);
    rz_model_close(&model);
    return 0;
}
