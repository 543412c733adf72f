/* test_gguf_split.c - GGUF files in shards: opened by any shard's name, and every way in which the
 * shards can disagree with each other or with their names. */
#include "base/fail.h"
#include "support/gguf_build.h"

#include <realizar/file.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    N_SHARDS = 3
};

/* What the shards on disk say; tests change one thing. */
struct set {
    char dir[64], paths[N_SHARDS][160];
    uint32_t no[N_SHARDS], count[N_SHARDS], total[N_SHARDS];
    const char *tensor[N_SHARDS];
};

static void set_init(struct set *s)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(s->dir, sizeof s->dir, "%.40s/rz-split-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(s->dir));
    static const char *const names[N_SHARDS] = {"a.weight", "b.weight", "c.weight"};
    for (uint32_t i = 0; i < N_SHARDS; i++) {
        snprintf(s->paths[i], sizeof s->paths[i], "%s/m-%05u-of-%05u.gguf", s->dir, i + 1,
                 (unsigned)N_SHARDS);
        s->no[i] = i;
        s->count[i] = N_SHARDS;
        s->total[i] = N_SHARDS;
        s->tensor[i] = names[i];
    }
}

static void set_fini(struct set *s)
{
    for (int i = 0; i < N_SHARDS; i++)
        unlink(s->paths[i]);
    rmdir(s->dir);
}

static void set_write(const struct set *s)
{
    for (uint32_t i = 0; i < N_SHARDS; i++) {
        struct gguf_build b;
        const float v[2] = {(float)i, 10};
        gb_init(&b);
        if (i == 0)
            gb_string(&b, "general.architecture", "qwen2");
        gb_u16(&b, "split.no", (uint16_t)s->no[i]);
        gb_u16(&b, "split.count", (uint16_t)s->count[i]);
        gb_i32(&b, "split.tensors.count", (int32_t)s->total[i]);
        gb_tensor_f32(&b, s->tensor[i], 1, (const uint64_t[]){2}, v);
        assert_true(gb_write(&b, s->paths[i]));
        gb_fini(&b);
    }
}

static void any_shard_opens_all(void **state)
{
    (void)state;
    struct set s = {0};
    set_init(&s);
    set_write(&s);
    for (int i = 0; i < N_SHARDS; i++) {
        rz_error err = {0};
        rz_file *file = NULL;
        if (rz_file_open(&file, s.paths[i], &err))
            fail_msg("%s", err.text);
        assert_int_equal(rz_file_n_shards(file), N_SHARDS);
        assert_int_equal(rz_file_n_tensors(file), N_SHARDS);
        assert_int_equal(rz_file_n_meta(file), 4);
        assert_non_null(rz_file_meta(file, "general.architecture"));
        assert_int_equal(rz_meta_int(rz_file_meta(file, "split.no"), 0), 0);
        assert_string_equal(rz_file_path(file), s.paths[i]);
        assert_string_equal(rz_file_format(file), "GGUF");
        assert_int_equal(rz_file_version(file), 3);
        for (uint32_t k = 0; k < N_SHARDS; k++) {
            float v[2];
            const rz_tensor *t = rz_file_tensor(file, s.tensor[k]);
            assert_ptr_equal(t, rz_file_tensor_at(file, k));
            memcpy(v, t->data, sizeof v);
            assert_true(v[0] == (float)k && v[1] == 10);
        }
        rz_file_close(&file);
    }
    set_fini(&s);
}

static void assert_refused(const struct set *s, int shard, rz_status status, const char *says)
{
    rz_error err = {0};
    rz_file *file = NULL;
    rz_status got = rz_file_open(&file, s->paths[shard], &err);
    if (got != status || !strstr(err.text, says))
        fail_msg("status %d, \"%s\", wanted %d, %s", (int)got, err.text, (int)status, says);
    assert_null(file);
}

static void a_missing_shard_is_named(void **state)
{
    (void)state;
    for (int missing = 0; missing < N_SHARDS; missing++) {
        struct set s = {0};
        set_init(&s);
        set_write(&s);
        unlink(s.paths[missing]);
        char says[100];
        snprintf(says, sizeof says, "shard %d of 3 is missing: m-%05d-of-00003.gguf", missing + 1,
                 missing + 1);
        assert_refused(&s, (missing + 1) % N_SHARDS, RZ_ENOTFOUND, says);
        set_fini(&s);
    }
}

static void disagreements_are_refused(void **state)
{
    (void)state;
    static const struct {
        int shard, opened;
        char what; /* n: split.no, c: split.count, t: split.tensors.count, d: duplicate tensor */
        uint32_t value;
        const char *says;
    } rows[] = {
        {0, 0, 'n', 1, "shard 2 of 3 by its key split.no, so its name must end in -00002-of-00003"},
        {2, 0, 'n', 1, "m-00003-of-00003.gguf: shard 2 of 3 by its keys, 3 of 3 by its name"},
        {0, 0, 'n', 3, "key split.no is 3, must be below split.count 3"},
        {0, 0, 'n', 65535, "key split.no is 65535, must be below"},
        {0, 0, 'c', 4, "shard 1 of 4 by its key split.no, so its name must end in -00001-of-00004"},
        {0, 0, 'c', 65535, "key split.count is 65535, must be 1 to 1024"},
        {1, 0, 'c', 2, "m-00002-of-00003.gguf: shard 2 of 2 by its keys, 2 of 3 by its name"},
        {1, 0, 'c', 1, "m-00002-of-00003.gguf: shard 2 of 1 by its keys"},
        {1, 0, 't', 4, "m-00002-of-00003.gguf: key split.tensors.count is 4"},
        {1, 1, 't', 4, "m-00001-of-00003.gguf: key split.tensors.count is 3"},
        {2, 0, 'd', 0, "m-00003-of-00003.gguf: tensor a.weight at byte"},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(rows); i++) {
        struct set s = {0};
        set_init(&s);
        if (rows[i].what == 'n')
            s.no[rows[i].shard] = rows[i].value;
        else if (rows[i].what == 'c')
            s.count[rows[i].shard] = rows[i].value;
        else if (rows[i].what == 't')
            s.total[rows[i].shard] = rows[i].value;
        else
            s.tensor[rows[i].shard] = s.tensor[0];
        set_write(&s);
        assert_refused(&s, rows[i].opened, RZ_EFORMAT, rows[i].says);
        set_fini(&s);
    }
}

static void a_total_that_no_shard_contradicts(void **state)
{
    (void)state;
    struct set s = {0};
    set_init(&s);
    for (int i = 0; i < N_SHARDS; i++)
        s.total[i] = 5;
    set_write(&s);
    assert_refused(&s, 0, RZ_EFORMAT, "key split.tensors.count is 5, the shards hold 3 tensors");
    set_fini(&s);
}

static void a_damaged_shard_is_named(void **state)
{
    (void)state;
    struct set s = {0};
    set_init(&s);
    set_write(&s);
    assert_int_equal(truncate(s.paths[1], 100), 0);
    assert_refused(&s, 0, RZ_EFORMAT, "m-00002-of-00003.gguf: ");
    set_write(&s);
    assert_int_equal(truncate(s.paths[1], 0), 0);
    assert_refused(&s, 2, RZ_EFORMAT, "m-00002-of-00003.gguf: magic at byte 0");
    set_fini(&s);
}

/* A name that says "shard" on a file that is whole, and a shard under another name. */
static void names_alone_mean_nothing(void **state)
{
    (void)state;
    struct set s = {0};
    struct gguf_build b;
    rz_error err = {0};
    rz_file *file = NULL;
    set_init(&s);
    gb_init(&b);
    gb_u32(&b, "general.alignment", 32);
    assert_true(gb_write(&b, s.paths[1]));
    gb_fini(&b);
    assert_int_equal(rz_file_open(&file, s.paths[1], &err), RZ_OK);
    assert_int_equal(rz_file_n_shards(file), 1);
    rz_file_close(&file);
    set_write(&s);
    char other[160];
    snprintf(other, sizeof other, "%s/renamed.gguf", s.dir);
    assert_int_equal(rename(s.paths[0], other), 0);
    assert_int_equal(rz_file_open(&file, other, &err), RZ_EFORMAT);
    assert_non_null(strstr(err.text, "renamed.gguf: shard 1 of 3"));
    assert_non_null(strstr(err.text, "must end in -00001-of-00003.gguf"));
    unlink(other);
    set_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_shard_opens_all),
        cmocka_unit_test(a_missing_shard_is_named),
        cmocka_unit_test(disagreements_are_refused),
        cmocka_unit_test(a_total_that_no_shard_contradicts),
        cmocka_unit_test(a_damaged_shard_is_named),
        cmocka_unit_test(names_alone_mean_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
