/* test_convert.c - conversions through the library: what inference needs survives every path, rows
 * of Q and K move and come back, and damage stops a conversion without a trace. */
#include "base/fail.h"
#include "formats/convert.h"
#include "formats/gguf_writer.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <realizar/convert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[256];

static const char *source_dir(void)
{
    const char *given = getenv("RZ_SOURCE_DIR");
    return given ? given : RZ_SOURCE_DIR;
}

static int make_dir(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/rz-convert-XXXXXX", base ? base : "/tmp");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *where)
{
    (void)st;
    (void)flag;
    (void)where;
    return remove(path);
}

static int remove_dir(void **state)
{
    (void)state;
    return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *at(const char *name)
{
    static char path[4][512];
    static unsigned n;
    char *p = path[n++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static rz_file *open_file(const char *path)
{
    rz_file *f = NULL;
    rz_error err;
    if (rz_file_open(&f, path, &err))
        fail_msg("%s", err.text);
    return f;
}

static void convert(const char *from, const char *to, const char *format)
{
    rz_file *f = open_file(from);
    rz_convert_options o = rz_convert_options_default();
    rz_error err;
    o.format = format;
    o.overwrite = true;
    o.n_threads = 2;
    if (rz_convert(f, to, &o, NULL, &err))
        fail_msg("%s", err.text);
    rz_file_close(&f);
}

static void assert_same(const char *a, const char *b)
{
    rz_file *x = open_file(a), *y = open_file(b);
    rz_compare_report *r = NULL;
    rz_error err;
    if (rz_compare_metadata(x, y, &err))
        fail_msg("%s", err.text);
    assert_int_equal(rz_compare(x, y, NULL, &r, &err), RZ_OK);
    assert_int_equal(r->n_missing + r->n_shape, 0);
    for (size_t i = 0; i < r->n_tensors; i++)
        if (r->tensors[i].worst > 1e-6)
            fail_msg("%s differs by %g", r->tensors[i].name, r->tensors[i].worst);
    rz_compare_report_free(&r);
    rz_file_close(&x);
    rz_file_close(&y);
}

/* ---- a model with everything that could be lost ---- */

enum {
    N_EMBD = 64,
    N_HEADS = 4,
    N_KV = 2,
    N_FF = 96,
    N_TOKENS = 264
};

struct model {
    const char *leave_out; /* a key */
    int bad_at;            /* element of blk.0.ffn_up.weight that is bad; -1: none */
    float bad;
    uint32_t n_embd; /* as the metadata says it */
    bool no_ffn_up;
};

static const struct model whole = {.bad_at = -1, .n_embd = N_EMBD};

static void put_tokenizer(struct rz_gguf_writer *w)
{
    static char text[N_TOKENS][16];
    rz_slice tokens[N_TOKENS], merges[2] = {{"a b", 3}, {"ab c", 4}};
    int32_t types[N_TOKENS];
    for (int i = 0; i < N_TOKENS; i++) {
        types[i] = i < 256 ? 1 : i < 260 ? 3 : i == 260 ? 4 : 5;
        if (i < 94)
            snprintf(text[i], sizeof text[i], "%c", '!' + i);
        else if (i == 94)
            snprintf(text[i], sizeof text[i], "ab");
        else if (i == 95)
            snprintf(text[i], sizeof text[i], "abc");
        else if (i < 256)
            snprintf(text[i], sizeof text[i], "%c%c", '!' + i % 94, 'A' + i / 94);
        else if (i < 261)
            snprintf(text[i], sizeof text[i], "<|t%d|>", i);
        else
            snprintf(text[i], sizeof text[i], "[PAD%d]", i);
        tokens[i] = (rz_slice){text[i], strlen(text[i])};
    }
    rz_gguf_put_string(w, "tokenizer.ggml.model", "gpt2");
    rz_gguf_put_string(w, "tokenizer.ggml.pre", "qwen2");
    rz_gguf_put_strings(w, "tokenizer.ggml.tokens", tokens, N_TOKENS);
    rz_gguf_put_strings(w, "tokenizer.ggml.merges", merges, 2);
    rz_gguf_put_numbers(w, "tokenizer.ggml.token_type", RZ_META_I32, types, N_TOKENS);
}

static void put_metadata(struct rz_gguf_writer *w, const struct model *m)
{
    static const struct {
        const char *key;
        double value;
        bool is_float;
    } numbers[] = {
        {"qwen2.context_length", 512, false},
        {"qwen2.block_count", 1, false},
        {"qwen2.feed_forward_length", N_FF, false},
        {"qwen2.attention.head_count", N_HEADS, false},
        {"qwen2.attention.head_count_kv", N_KV, false},
        {"qwen2.attention.layer_norm_rms_epsilon", 3e-6, true},
        {"qwen2.rope.freq_base", 54321, true},
        {"qwen2.rope.scaling.factor", 4, true},
        {"qwen2.rope.scaling.original_context_length", 128, false},
        {"tokenizer.ggml.bos_token_id", 256, false},
        {"tokenizer.ggml.eos_token_id", 257, false},
        {"tokenizer.ggml.eot_token_id", 258, false},
        {"tokenizer.ggml.eom_token_id", 259, false},
        {"tokenizer.ggml.padding_token_id", 256, false},
        {"general.sampling.temp", 0.6, true},
        {"general.sampling.top_p", 0.85, true},
        {"general.sampling.min_p", 0.05, true},
        {"general.sampling.penalty_repeat", 1.1, true},
        {"general.sampling.top_k", 33, false},
    };
    rz_gguf_put_string(w, "general.architecture", "qwen2");
    rz_gguf_put_u32(w, "qwen2.embedding_length", m->n_embd);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (m->leave_out && !strcmp(numbers[i].key, m->leave_out))
            continue;
        if (numbers[i].is_float)
            rz_gguf_put_f32(w, numbers[i].key, (float)numbers[i].value);
        else
            rz_gguf_put_u32(w, numbers[i].key, (uint32_t)numbers[i].value);
    }
    rz_gguf_put_string(w, "qwen2.rope.scaling.type", "yarn");
    rz_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", true);
    rz_gguf_put_string(w, "tokenizer.chat_template",
                       "{{ \"\\u00e9\\n\" }}\n{% if x %}'{% endif %}");
    put_tokenizer(w);
}

static const struct {
    const char *name;
    uint32_t n_dims;
    uint64_t shape[2];
} tensors[] = {
    {"token_embd.weight", 2, {N_TOKENS, N_EMBD}}, {"output_norm.weight", 1, {N_EMBD, 1}},
    {"blk.0.attn_norm.weight", 1, {N_EMBD, 1}},   {"blk.0.attn_q.weight", 2, {N_EMBD, N_EMBD}},
    {"blk.0.attn_q.bias", 1, {N_EMBD, 1}},        {"blk.0.attn_k.weight", 2, {N_EMBD / 2, N_EMBD}},
    {"blk.0.attn_k.bias", 1, {N_EMBD / 2, 1}},    {"blk.0.attn_v.weight", 2, {N_EMBD / 2, N_EMBD}},
    {"blk.0.attn_v.bias", 1, {N_EMBD / 2, 1}},    {"blk.0.attn_output.weight", 2, {N_EMBD, N_EMBD}},
    {"blk.0.ffn_norm.weight", 1, {N_EMBD, 1}},    {"blk.0.ffn_gate.weight", 2, {N_FF, N_EMBD}},
    {"blk.0.ffn_up.weight", 2, {N_FF, N_EMBD}},   {"blk.0.ffn_down.weight", 2, {N_EMBD, N_FF}},
};

static void write_model(const char *path, const struct model *m)
{
    struct rz_gguf_writer *w;
    rz_error err;
    uint32_t seed = 1;
    const size_t n = sizeof tensors / sizeof tensors[0];
    assert_int_equal(rz_gguf_writer_new(&w, path, &err), RZ_OK);
    put_metadata(w, m);
    for (size_t i = 0; i < n; i++)
        if (!(m->no_ffn_up && strstr(tensors[i].name, "ffn_up")))
            rz_gguf_declare(w, tensors[i].name, RZ_F32, tensors[i].n_dims, tensors[i].shape);
    assert_int_equal(rz_gguf_begin(w, &err), RZ_OK);
    for (size_t i = 0; i < n; i++) {
        bool is_up = strstr(tensors[i].name, "ffn_up") != NULL;
        size_t count = tensors[i].shape[0] * tensors[i].shape[1];
        if (m->no_ffn_up && is_up)
            continue;
        float *values = calloc(count, sizeof *values);
        for (size_t k = 0; k < count; k++) {
            seed = seed * 1664525 + 1013904223;
            values[k] = (float)(seed >> 8) / (1 << 24) - 0.5f;
        }
        if (is_up && m->bad_at >= 0)
            values[m->bad_at] = m->bad;
        assert_int_equal(rz_gguf_write(w, values, count * sizeof *values, &err), RZ_OK);
        free(values);
    }
    assert_int_equal(rz_gguf_finish(w, &err), RZ_OK);
    rz_gguf_writer_free(&w);
}

/* ---- tests ---- */

static void test_metadata_survives_every_path(void **state)
{
    static const char *const formats[] = {"gguf", "safetensors", "apr"};
    char a[64], b[64];
    (void)state;
    write_model(at("m.gguf"), &whole);
    for (size_t i = 0; i < 3; i++) {
        snprintf(a, sizeof a, "first.%s", formats[i]);
        convert(at("m.gguf"), at(a), formats[i]);
        assert_same(at("m.gguf"), at(a));
        for (size_t k = 0; k < 3; k++) {
            snprintf(b, sizeof b, "second-%zu.%s", i, formats[k]);
            convert(at(a), at(b), formats[k]);
            assert_same(at("m.gguf"), at(b));
        }
    }
}

/* The comparison on which the test above rests sees each of these go. */
static void test_a_lost_key_is_seen(void **state)
{
    static const char *const keys[] = {
        "qwen2.attention.head_count_kv",
        "qwen2.attention.layer_norm_rms_epsilon",
        "qwen2.rope.freq_base",
        "qwen2.rope.scaling.factor",
        "tokenizer.ggml.bos_token_id",
        "tokenizer.ggml.eos_token_id",
        "tokenizer.ggml.eot_token_id",
        "tokenizer.ggml.eom_token_id",
        "tokenizer.ggml.padding_token_id",
        "general.sampling.temp",
        "general.sampling.top_k",
        "general.sampling.top_p",
        "general.sampling.min_p",
        "general.sampling.penalty_repeat",
    };
    (void)state;
    write_model(at("m.gguf"), &whole);
    rz_file *a = open_file(at("m.gguf"));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct model m = whole;
        rz_error err;
        m.leave_out = keys[i];
        write_model(at("less.gguf"), &m);
        rz_file *b = open_file(at("less.gguf"));
        assert_int_equal(rz_compare_metadata(a, b, &err), RZ_EINVALID);
        assert_non_null(strstr(err.text, keys[i]));
        rz_file_close(&b);
    }
    rz_file_close(&a);
}

static void refuse(const struct model *m, const char *type, rz_status wanted, const char *says)
{
    static const char *const names[] = {"bad.gguf", "bad.apr", "bad.safetensors"};
    write_model(at("damaged.gguf"), m);
    rz_file *f = open_file(at("damaged.gguf"));
    for (size_t i = 0; i < 3; i++) {
        rz_convert_options o = rz_convert_options_default();
        rz_convert_report *report;
        rz_error err;
        o.type = type;
        assert_int_equal(rz_convert(f, at(names[i]), &o, &report, &err), wanted);
        assert_null(report);
        if (!strstr(err.text, says))
            fail_msg("'%s' lacks '%s'", err.text, says);
        assert_int_not_equal(access(at(names[i]), F_OK), 0);
    }
    rz_file_close(&f);
}

static void test_damage_stops(void **state)
{
    struct model m = whole;
    (void)state;
    m.bad_at = 1234;
    m.bad = NAN;
    refuse(&m, NULL, RZ_EINVALID, "blk.0.ffn_up.weight (F32), element 1234: not a number");
    m.bad = -INFINITY;
    refuse(&m, "bf16", RZ_EINVALID, "element 1234: infinite");
    m.bad = 1e30f;
    refuse(&m, "f16", RZ_EINVALID, "element 1234: 1e+30 does not fit in F16");
    m = whole;
    m.n_embd = N_EMBD * 2;
    refuse(&m, NULL, RZ_EINVALID, "embedding_length says 128");
    refuse(&whole, "q99", RZ_EUSAGE, "q99");
}

static void test_rows_move_and_come_back(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 64; i++) {
        uint64_t half = rz_row_source(RZ_ROWS_TO_HALVES, 16, i);
        assert_int_equal(rz_row_source(RZ_ROWS_TO_PAIRS, 16, half), i);
        assert_int_equal(half / 16, i / 16);
    }
    /* Neighbours 2 and 3 of a head in GGUF are rows 1 and 9 in Hugging Face's order. */
    assert_int_equal(rz_row_source(RZ_ROWS_TO_PAIRS, 16, 2), 1);
    assert_int_equal(rz_row_source(RZ_ROWS_TO_PAIRS, 16, 3), 9);
    char llama[512];
    snprintf(llama, sizeof llama, "%s/tests/golden/data/llama.gguf", source_dir());
    convert(llama, at("llama.safetensors"), NULL);
    rz_file *a = open_file(llama), *b = open_file(at("llama.safetensors"));
    const rz_tensor *p = rz_file_tensor(a, "blk.0.attn_q.weight");
    const rz_tensor *h = rz_file_tensor(b, "blk.0.attn_q.weight");
    size_t row = p->n_bytes / p->shape[0];
    for (uint64_t i = 0; i < p->shape[0]; i++)
        assert_memory_equal((const char *)p->data + i * row,
                            (const char *)h->data + rz_row_source(RZ_ROWS_TO_PAIRS, 16, i) * row,
                            row);
    rz_file_close(&a);
    rz_file_close(&b);
    convert(at("llama.safetensors"), at("llama.gguf"), NULL);
    assert_same(llama, at("llama.gguf"));
}

static bool stop(void *ctx, const rz_convert_progress *progress)
{
    (void)progress;
    ++*(int *)ctx;
    return false;
}

static void test_it_can_be_stopped(void **state)
{
    rz_convert_options o = rz_convert_options_default();
    rz_error err;
    int calls = 0;
    (void)state;
    write_model(at("m.gguf"), &whole);
    rz_file *f = open_file(at("m.gguf"));
    o.progress = stop;
    o.progress_ctx = &calls;
    assert_int_equal(rz_convert(f, at("stopped.gguf"), &o, NULL, &err), RZ_ECANCEL);
    assert_int_equal(calls, 1);
    assert_int_not_equal(access(at("stopped.gguf"), F_OK), 0);
    rz_file_close(&f);
}

/* ---- checked before it gets its name ---- */

struct checked {
    rz_status answer;
    const char *place; /* what the result is to be called */
    int calls;
};

/* The result is whole where it lies, and the name still means what it meant. */
static rz_status look(void *ctx, const char *path, const rz_convert_report *report, rz_error *err)
{
    struct checked *c = ctx;
    (void)err;
    c->calls++;
    assert_string_not_equal(path, c->place);
    assert_int_equal(strncmp(path, c->place, strlen(c->place)), 0);
    rz_file *f = open_file(path);
    assert_int_equal(rz_file_n_tensors(f), report->n_tensors);
    rz_file_close(&f);
    assert_same(at("old.gguf"), c->place);
    return c->answer;
}

static size_t n_entries(const char *containing)
{
    size_t n = 0;
    DIR *d = opendir(dir);
    struct dirent *e;
    assert_non_null(d);
    while ((e = readdir(d)) != NULL)
        n += strstr(e->d_name, containing) != NULL;
    closedir(d);
    return n;
}

static void test_a_failed_check_leaves_what_was_there(void **state)
{
    static const char *const names[] = {"c.gguf", "c.safetensors", "c.apr"};
    (void)state;
    struct model old = whole;
    old.bad_at = 3;
    old.bad = 7;
    write_model(at("m.gguf"), &whole);
    write_model(at("old.gguf"), &old);
    for (size_t i = 0; i < RZ_ARRAY_LEN(names); i++) {
        char place[512];
        rz_error err;
        snprintf(place, sizeof place, "%s", at(names[i]));
        convert(at("old.gguf"), place, NULL);
        struct checked c = {.answer = RZ_EINVALID, .place = place};
        rz_convert_options o = rz_convert_options_default();
        o.overwrite = true;
        o.check = look;
        o.check_ctx = &c;
        rz_file *f = open_file(at("m.gguf"));
        assert_int_equal(rz_convert(f, place, &o, NULL, &err), RZ_EINVALID);
        assert_same(at("old.gguf"), place);
        assert_int_equal(n_entries(".part"), 0);
        c.answer = RZ_OK;
        assert_int_equal(rz_convert(f, place, &o, NULL, &err), RZ_OK);
        assert_int_equal(c.calls, 2);
        assert_same(at("m.gguf"), place);
        assert_int_equal(n_entries(".part"), 0);
        rz_file_close(&f);
    }
}

static void put_file(const char *path)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fputs("half", f) >= 0, 1);
    assert_int_equal(fclose(f), 0);
}

/* What killed processes left goes with the next that makes the same name; nothing else does. */
static void test_what_killed_processes_left_is_removed(void **state)
{
    static const char *const kept[] = {"l.gguf.part",      "l.gguf.1-.part",  "l.gguf.x-1.part",
                                       "l.gguf.1-0.part2", "k.gguf.1-0.part", "l.gguf.1-7.part"};
    (void)state;
    write_model(at("m.gguf"), &whole);
    put_file(at("l.gguf.1-0.part"));
    put_file(at("l.gguf.4000000-3.part"));
    for (size_t i = 0; i < RZ_ARRAY_LEN(kept); i++)
        put_file(at(kept[i]));
    /* Somebody still writes this one. */
    int fd = open(at("l.gguf.1-7.part"), O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    convert(at("m.gguf"), at("l.gguf"), NULL);
    assert_int_not_equal(access(at("l.gguf.1-0.part"), F_OK), 0);
    assert_int_not_equal(access(at("l.gguf.4000000-3.part"), F_OK), 0);
    for (size_t i = 0; i < RZ_ARRAY_LEN(kept); i++)
        assert_int_equal(access(at(kept[i]), F_OK), 0);
    close(fd);
    convert(at("m.gguf"), at("l.gguf"), NULL);
    assert_int_not_equal(access(at("l.gguf.1-7.part"), F_OK), 0);
    /* Of SafeTensors it is a directory. */
    assert_int_equal(mkdir(at("l.safetensors.1-0.part"), 0777), 0);
    put_file(at("l.safetensors.1-0.part/model.safetensors.1-0.part"));
    put_file(at("l.safetensors.1-0.part/config.json"));
    assert_int_equal(mkdir(at("l.safetensors.2-0.part"), 0777), 0);
    put_file(at("l.safetensors.2-0.part/letter.txt"));
    convert(at("m.gguf"), at("l.safetensors"), NULL);
    assert_int_not_equal(access(at("l.safetensors.1-0.part"), F_OK), 0);
    assert_int_equal(access(at("l.safetensors.2-0.part/letter.txt"), F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metadata_survives_every_path),
        cmocka_unit_test(test_a_lost_key_is_seen),
        cmocka_unit_test(test_damage_stops),
        cmocka_unit_test(test_rows_move_and_come_back),
        cmocka_unit_test(test_it_can_be_stopped),
        cmocka_unit_test(test_a_failed_check_leaves_what_was_there),
        cmocka_unit_test(test_what_killed_processes_left_is_removed),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
