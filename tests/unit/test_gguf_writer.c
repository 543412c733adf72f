/* test_gguf_writer.c - what the writer writes the reader reads; what goes wrong leaves no file; and
 * the named mixes give each tensor the type that published files have. */
#include "base/fail.h"
#include "formats/gguf_writer.h"
#include "formats/mix.h"

#include <realizar/file.h>

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct scratch {
    char dir[64], path[128];
};

static void make_scratch(struct scratch *s)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(s->dir, sizeof s->dir, "%.40s/rz-writer-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->path, sizeof s->path, "%s/out.gguf", s->dir);
}

static int n_entries(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static struct rz_gguf_writer *new_writer(const char *path)
{
    struct rz_gguf_writer *w = NULL;
    rz_error err = {0};
    if (rz_gguf_writer_new(&w, path, &err))
        fail_msg("%s", err.text);
    return w;
}

static const uint64_t matrix_shape[] = {3, 64};

static void put_all(struct rz_gguf_writer *w)
{
    const rz_slice words[] = {{"", 0}, {"ab", 2}, {"\0c", 2}};
    const int32_t numbers[] = {-1, 0, INT32_MAX};
    rz_gguf_put_string(w, "general.architecture", "qwen2");
    rz_gguf_put_slice(w, "slice", words[1]);
    rz_gguf_put_u32(w, "u32", 7);
    rz_gguf_put_u64(w, "u64", UINT64_MAX);
    rz_gguf_put_f32(w, "f32", 0.25f);
    rz_gguf_put_bool(w, "yes", true);
    rz_gguf_put_bool(w, "no", false);
    rz_gguf_put_strings(w, "words", words, 3);
    rz_gguf_put_strings(w, "no words", NULL, 0);
    rz_gguf_put_numbers(w, "numbers", RZ_META_I32, numbers, 3);
    rz_gguf_declare(w, "v", RZ_F32, 1, (const uint64_t[]){5});
    rz_gguf_declare(w, "m", RZ_Q5_1, 2, matrix_shape);
    rz_gguf_declare(w, "h", RZ_F16, 3, (const uint64_t[]){2, 1, 4});
}

static void check_all(const char *path, const uint8_t *bytes, size_t n)
{
    rz_file *file = NULL;
    rz_error err = {0};
    if (rz_file_open(&file, path, &err))
        fail_msg("%s", err.text);
    assert_int_equal(rz_file_version(file), 3);
    assert_int_equal(rz_file_n_meta(file), 10);
    assert_int_equal(rz_meta_int(rz_file_meta(file, "u32"), 0), 7);
    assert_true(rz_meta_float(rz_file_meta(file, "u64"), 0) == 0x1p64);
    assert_true(rz_meta_float(rz_file_meta(file, "f32"), 0) == 0.25);
    assert_int_equal(rz_meta_int(rz_file_meta(file, "yes"), 0), 1);
    assert_int_equal(rz_meta_int(rz_file_meta(file, "no"), 0), 0);
    assert_int_equal(rz_meta_string(rz_file_meta(file, "slice"), 0).len, 2);
    assert_memory_equal(rz_meta_string(rz_file_meta(file, "words"), 2).data, "\0c", 2);
    assert_int_equal(rz_file_meta(file, "no words")->count, 0);
    assert_int_equal(rz_meta_int(rz_file_meta(file, "numbers"), 0), -1);
    const rz_tensor *v = rz_file_tensor(file, "v"), *m = rz_file_tensor(file, "m");
    assert_int_equal(v->n_bytes + m->n_bytes + rz_file_tensor(file, "h")->n_bytes, n);
    assert_int_equal(m->dtype, RZ_Q5_1);
    assert_int_equal(m->shape[0], 3);
    assert_int_equal(m->shape[1], 64);
    assert_memory_equal(v->data, bytes, 20);
    assert_memory_equal(m->data, bytes + 20, 144);
    assert_memory_equal(rz_file_tensor(file, "h")->data, bytes + 164, 16);
    rz_file_close(&file);
}

/* Data in pieces of several sizes; the file of an earlier run is replaced. */
static void written_files_read_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {20, 144, 16};
    uint8_t bytes[180];
    struct scratch s = {0};
    make_scratch(&s);
    for (size_t piece = 1; piece <= 180; piece += 13) {
        struct rz_gguf_writer *w = new_writer(s.path);
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)(i * 7 + piece);
        put_all(w);
        uint64_t total = rz_gguf_writer_bytes(w);
        assert_int_equal(rz_gguf_begin(w, NULL), RZ_OK);
        const uint8_t *p = bytes;
        for (size_t t = 0; t < 3; t++)
            for (size_t at = 0; at < sizes[t];) {
                size_t n = sizes[t] - at < piece ? sizes[t] - at : piece;
                assert_int_equal(rz_gguf_write(w, p, n, NULL), RZ_OK);
                at += n;
                p += n;
            }
        assert_int_equal(rz_gguf_finish(w, NULL), RZ_OK);
        rz_gguf_writer_free(&w);
        assert_null(w);
        struct stat st;
        assert_int_equal(stat(s.path, &st), 0);
        assert_int_equal(st.st_size, total);
        check_all(s.path, bytes, sizeof bytes);
        assert_int_equal(n_entries(s.dir), 1);
    }
    unlink(s.path);
    rmdir(s.dir);
}

static void a_file_without_tensors(void **state)
{
    (void)state;
    struct scratch s = {0};
    make_scratch(&s);
    struct rz_gguf_writer *w = new_writer(s.path);
    rz_gguf_put_u32(w, "a", 1);
    assert_int_equal(rz_gguf_begin(w, NULL), RZ_OK);
    assert_int_equal(rz_gguf_finish(w, NULL), RZ_OK);
    rz_gguf_writer_free(&w);
    rz_file *file = NULL;
    assert_int_equal(rz_file_open(&file, s.path, NULL), RZ_OK);
    assert_int_equal(rz_file_n_tensors(file), 0);
    rz_file_close(&file);
    unlink(s.path);
    rmdir(s.dir);
}

static void an_unfinished_file_leaves_nothing(void **state)
{
    (void)state;
    struct scratch s = {0};
    make_scratch(&s);
    struct rz_gguf_writer *w = new_writer(s.path);
    put_all(w);
    assert_int_equal(rz_gguf_begin(w, NULL), RZ_OK);
    assert_int_equal(n_entries(s.dir), 1);
    assert_int_equal(access(s.path, F_OK), -1);
    rz_gguf_writer_free(&w);
    assert_int_equal(n_entries(s.dir), 0);
    rmdir(s.dir);
}

/* A limit on the size of files stands for a full disk. */
static void no_space_is_said_and_leaves_nothing(void **state)
{
    (void)state;
    struct scratch s = {0};
    struct rlimit old, small;
    rz_error err = {0};
    make_scratch(&s);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct rz_gguf_writer *w = new_writer(s.path);
    rz_gguf_declare(w, "big", RZ_F32, 2, (const uint64_t[]){1024, 1024});
    signal(SIGXFSZ, SIG_IGN);
    small = old;
    small.rlim_cur = 1 << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    rz_status status = rz_gguf_begin(w, &err);
    char *zeros = calloc(1, 1 << 20);
    assert_non_null(zeros);
    for (int i = 0; i < 4 && !status; i++)
        status = rz_gguf_write(w, zeros, 1 << 20, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    free(zeros);
    assert_int_equal(status, RZ_EIO);
    assert_non_null(strstr(err.text, "out.gguf: cannot write"));
    assert_non_null(strstr(err.text, "too large"));
    rz_gguf_writer_free(&w);
    assert_int_equal(n_entries(s.dir), 0);
    rmdir(s.dir);
}

static void what_cannot_be_replaced_is_refused(void **state)
{
    (void)state;
    struct scratch s = {0};
    rz_error err = {0};
    struct rz_gguf_writer *w = NULL;
    make_scratch(&s);
    assert_int_equal(rz_gguf_writer_new(&w, s.dir, &err), RZ_EUSAGE);
    assert_non_null(strstr(err.text, "not a regular file"));
    assert_int_equal(rz_gguf_writer_new(&w, "/dev/null", &err), RZ_EUSAGE);
    char inside[200];
    snprintf(inside, sizeof inside, "%s/no/such/folder", s.dir);
    assert_int_equal(rz_gguf_writer_new(&w, inside, &err), RZ_EIO);
    assert_non_null(strstr(err.text, "No such file"));
    assert_null(w);
    rz_gguf_writer_free(&w);
    rmdir(s.dir);
}

/* ---- mixes ---- */

struct shape {
    uint32_t n_layers, n_heads, n_kv_heads, hidden, ffn;
    bool tied;
};

/* How many tensors of a qwen2 model of that shape get each type. */
static void count_types(const char *mix_name, const struct shape *shape, int counts[RZ_N_DTYPES])
{
    static const char *const vectors[] = {"attn_norm.weight", "ffn_norm.weight", "attn_q.bias",
                                          "attn_k.bias", "attn_v.bias"};
    static const char *const matrices[] = {"attn_q.weight",      "attn_k.weight",   "attn_v.weight",
                                           "attn_output.weight", "ffn_gate.weight", "ffn_up.weight",
                                           "ffn_down.weight"};
    const struct rz_mix *mix = rz_mix_by_name(mix_name);
    const struct rz_mix_model model = {shape->n_layers, shape->n_heads, shape->n_kv_heads,
                                       shape->tied};
    assert_non_null(mix);
    memset(counts, 0, RZ_N_DTYPES * sizeof *counts);
    for (uint32_t layer = 0; layer < shape->n_layers; layer++) {
        char name[48];
        for (size_t i = 0; i < RZ_ARRAY_LEN(vectors); i++) {
            snprintf(name, sizeof name, "blk.%u.%s", layer, vectors[i]);
            counts[rz_mix_choose(mix, &model, name, 1, shape->hidden)]++;
        }
        for (size_t i = 0; i < RZ_ARRAY_LEN(matrices); i++) {
            snprintf(name, sizeof name, "blk.%u.%s", layer, matrices[i]);
            uint64_t cols = strcmp(matrices[i], "ffn_down.weight") ? shape->hidden : shape->ffn;
            counts[rz_mix_choose(mix, &model, name, 2, cols)]++;
        }
    }
    counts[rz_mix_choose(mix, &model, "output_norm.weight", 1, shape->hidden)]++;
    counts[rz_mix_choose(mix, &model, "token_embd.weight", 2, shape->hidden)]++;
    if (!shape->tied)
        counts[rz_mix_choose(mix, &model, "output.weight", 2, shape->hidden)]++;
}

/* As llama.cpp prints them on loading the published files. */
static void mixes_match_published_files(void **state)
{
    (void)state;
    static const struct shape half_b = {24, 14, 2, 896, 4864, true};
    static const struct shape seven_b = {28, 28, 4, 3584, 18944, false};
    int counts[RZ_N_DTYPES];
    count_types("Q4_K_M", &half_b, counts);
    assert_int_equal(counts[RZ_F32], 121);
    assert_int_equal(counts[RZ_Q5_0], 132);
    assert_int_equal(counts[RZ_Q8_0], 13);
    assert_int_equal(counts[RZ_Q4_K], 12);
    assert_int_equal(counts[RZ_Q6_K], 12);
    count_types("q4_k_m", &seven_b, counts);
    assert_int_equal(counts[RZ_F32], 141);
    assert_int_equal(counts[RZ_Q4_K], 169);
    assert_int_equal(counts[RZ_Q6_K], 29);
    count_types("q8_0", &seven_b, counts);
    assert_int_equal(counts[RZ_Q8_0], 198);
    count_types("q4_0", &seven_b, counts);
    assert_int_equal(counts[RZ_Q4_0], 197);
    assert_int_equal(counts[RZ_Q6_K], 1);
    count_types("f16", &seven_b, counts);
    assert_int_equal(counts[RZ_F16], 198);
}

/* The other rules, each on a tensor that shows it. */
static void mixes_choose_by_tensor(void **state)
{
    (void)state;
    static const struct {
        const char *mix, *tensor;
        uint32_t n_layers, n_kv_heads, n_cols;
        rz_dtype type;
    } rows[] = {
        {"q4_k_s", "blk.3.attn_v.weight", 28, 2, 1536, RZ_Q5_K},
        {"q4_k_s", "blk.4.attn_v.weight", 28, 2, 1536, RZ_Q4_K},
        {"q4_k_s", "blk.2.ffn_down.weight", 28, 2, 8960, RZ_Q5_K},
        {"q4_k_s", "blk.3.ffn_down.weight", 28, 2, 8960, RZ_Q4_K},
        {"q3_k_m", "blk.1.attn_v.weight", 28, 2, 1536, RZ_Q5_K},
        {"q3_k_m", "blk.2.attn_v.weight", 28, 2, 1536, RZ_Q4_K},
        {"q3_k_m", "blk.0.ffn_down.weight", 28, 2, 8960, RZ_Q5_K},
        {"q3_k_m", "blk.1.ffn_down.weight", 28, 2, 8960, RZ_Q4_K},
        {"q3_k_m", "blk.9.attn_output.weight", 28, 2, 1536, RZ_Q4_K},
        {"q3_k_m", "blk.9.ffn_up.weight", 28, 2, 1536, RZ_Q3_K},
        {"q3_k_l", "blk.9.attn_output.weight", 28, 2, 1536, RZ_Q5_K},
        {"q3_k_s", "blk.9.attn_v.weight", 28, 2, 1536, RZ_Q3_K},
        {"q2_k", "blk.9.attn_v.weight", 28, 2, 1536, RZ_Q4_K},
        {"q2_k", "blk.9.attn_v.weight", 28, 12, 1536, RZ_Q3_K},
        {"q2_k", "blk.9.ffn_down.weight", 28, 2, 8960, RZ_Q3_K},
        {"q2_k", "blk.9.ffn_gate.weight", 28, 2, 1536, RZ_Q2_K},
        {"q2_k", "blk.9.ffn_gate.weight", 28, 2, 896, RZ_IQ4_NL},
        {"q5_k_m", "blk.5.attn_v.weight", 28, 2, 1536, RZ_Q6_K},
        {"q5_k_m", "blk.6.attn_v.weight", 28, 2, 896, RZ_Q5_1},
        {"iq4_xs", "blk.6.attn_v.weight", 28, 2, 1536, RZ_Q5_K},
        {"iq4_xs", "blk.6.attn_v.weight", 28, 12, 1536, RZ_IQ4_XS},
        {"iq4_xs", "blk.2.ffn_down.weight", 28, 2, 8960, RZ_Q5_K},
        {"iq4_xs", "blk.3.ffn_down.weight", 28, 2, 8960 + 32, RZ_IQ4_NL},
        {"q4_k_m", "blk.12.attn_v.weight", 80, 2, 8192, RZ_Q6_K},
        {"q4_k_m", "blk.13.attn_v.weight", 80, 2, 8192, RZ_Q5_K},
        {"q4_k_m", "blk.13.ffn_down.weight", 80, 2, 29568, RZ_Q5_0},
        {"q4_k_m", "blk.0.ffn_gate_inp.weight", 28, 4, 3584, RZ_F32},
        {"q4_k_m", "blk.0.ffn_down_exps.weight", 28, 4, 2560, RZ_Q6_K},
        {"q4_k_m", "blk.4.ffn_down_shexp.weight", 28, 4, 20480, RZ_Q4_K},
        {"q4_k_m", "token_embd.weight", 28, 2, 1536, RZ_Q6_K},
        {"q4_k", "token_embd.weight", 28, 2, 1536, RZ_Q4_K},
        {"q4_0", "token_embd.weight", 28, 2, 896, RZ_Q8_0},
        {"q8_0", "blk.0.ffn_up.weight", 28, 2, 1000, RZ_F16},
        {"bf16", "blk.0.ffn_up.weight", 28, 2, 1000, RZ_BF16},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(rows); i++) {
        const struct rz_mix_model model = {rows[i].n_layers, 12, rows[i].n_kv_heads, true};
        rz_dtype type =
            rz_mix_choose(rz_mix_by_name(rows[i].mix), &model, rows[i].tensor, 2, rows[i].n_cols);
        if (type != rows[i].type)
            fail_msg("%s %s: %s", rows[i].mix, rows[i].tensor, rz_dtype_name(type));
    }
}

static void mix_names(void **state)
{
    (void)state;
    unsigned n = 0;
    for (; rz_mix_name(n); n++)
        assert_non_null(rz_mix_by_name(rz_mix_name(n)));
    assert_int_equal(n, 22);
    assert_null(rz_mix_by_name("q9_k"));
    assert_int_equal(rz_mix_file_type(rz_mix_by_name("q4_k_m")), 15);
    assert_int_equal(rz_mix_file_type(rz_mix_by_name("IQ4_XS")), 30);
    /* Every type that tensors can have has a mix of its name. */
    for (int type = 0; type < RZ_N_DTYPES; type++)
        assert_non_null(rz_mix_by_name(rz_dtype_name((rz_dtype)type)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_files_read_back),
        cmocka_unit_test(a_file_without_tensors),
        cmocka_unit_test(an_unfinished_file_leaves_nothing),
        cmocka_unit_test(no_space_is_said_and_leaves_nothing),
        cmocka_unit_test(what_cannot_be_replaced_is_refused),
        cmocka_unit_test(mixes_match_published_files),
        cmocka_unit_test(mixes_choose_by_tensor),
        cmocka_unit_test(mix_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
