/* bench_tokenizer.c - how fast the tokenizer loads, encodes and decodes.
 *
 *     bench_tokenizer [MODEL.gguf TEXTFILE [RUNS]]
 *         medians over RUNS (default 9), of CPU time: load time, encode and decode rate, as JSON;
 * on models/demo.gguf and ARCHITECTURE.md by default, from the repository's root bench_tokenizer
 * --encode-lines MODEL.gguf [--special] < RECORDS > IDS for each record (a little-endian u32 length
 * and as many bytes) one line of ids; for bench/tokenizer_compare.py
 */
#include <realizar/tokenizer.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MAX_RUNS = 1000
};

static void die(const char *what)
{
    fprintf(stderr, "bench_tokenizer: %s\n", what);
    exit(1);
}

static void check(rz_status status, const rz_error *err)
{
    if (status)
        die(err->text);
}

/* The thread's CPU time: nothing here waits, and the wall clock of a busy machine would measure the
 * neighbours. */
static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, compare);
    return values[n / 2];
}

/* realloc that ends the program where memory is out. */
static char *grow(char *data, size_t size)
{
    char *grown = realloc(data, size);
    if (!grown) {
        free(data);
        die("out of memory");
    }
    return grown;
}

static char *read_all(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        die("cannot open the text file");
    size_t cap = 1 << 20;
    char *data = grow(NULL, cap);
    for (*len = 0;; cap *= 2, data = grow(data, cap)) {
        *len += fread(data + *len, 1, cap - *len, f);
        if (*len < cap)
            break;
    }
    fclose(f);
    return data;
}

static int encode_lines(const char *model, unsigned flags)
{
    rz_error err;
    rz_file *file;
    rz_tokenizer *tok;
    rz_ids ids = {0};
    check(rz_file_open(&file, model, &err), &err);
    check(rz_tokenizer_new(&tok, file, &err), &err);
    unsigned char head[4];
    char *text = NULL;
    while (fread(head, 1, 4, stdin) == 4) {
        size_t len = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
        text = grow(text, len + 1);
        if (fread(text, 1, len, stdin) != len)
            die("a record is cut off");
        ids.len = 0;
        check(rz_tokenizer_encode(tok, text, len, flags, &ids, &err), &err);
        for (size_t i = 0; i < ids.len; i++)
            printf("%s%d", i ? " " : "", ids.data[i]);
        putchar('\n');
    }
    free(text);
    rz_ids_free(&ids);
    rz_tokenizer_free(&tok);
    rz_file_close(&file);
    return 0;
}

static int bench(const char *model, const char *text_path, int n_runs)
{
    static double load[MAX_RUNS], encode[MAX_RUNS], decode[MAX_RUNS];
    rz_error err;
    rz_file *file;
    rz_tokenizer *tok;
    rz_ids ids = {0};
    size_t len;
    char *text = read_all(text_path, &len);
    check(rz_file_open(&file, model, &err), &err);
    check(rz_tokenizer_new(&tok, file, &err), &err);
    for (int i = 0; i < n_runs; i++) {
        rz_tokenizer_free(&tok);
        double start = now_s();
        check(rz_tokenizer_new(&tok, file, &err), &err);
        load[i] = now_s() - start;
    }
    for (int i = 0; i < n_runs; i++) {
        ids.len = 0;
        double start = now_s();
        check(rz_tokenizer_encode(tok, text, len, 0, &ids, &err), &err);
        encode[i] = now_s() - start;
        rz_text out = {0};
        rz_detok d;
        rz_detok_init(&d, tok, true);
        start = now_s();
        for (size_t k = 0; k < ids.len; k++)
            check(rz_detok_feed(&d, ids.data[k], &out, &err), &err);
        check(rz_detok_finish(&d, &out, &err), &err);
        decode[i] = now_s() - start;
        rz_text_free(&out);
    }
    double mb = (double)len / 1e6;
    printf("{\"n_vocab\": %u, \"text_bytes\": %zu, \"n_ids\": %zu, ", rz_tokenizer_n_vocab(tok),
           len, ids.len);
    printf("\"load_ms\": %.2f, \"encode_mb_s\": %.2f, \"decode_mb_s\": %.2f}\n",
           median(load, n_runs) * 1e3, mb / median(encode, n_runs), mb / median(decode, n_runs));
    free(text);
    rz_ids_free(&ids);
    rz_tokenizer_free(&tok);
    rz_file_close(&file);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "--encode-lines") == 0)
        return encode_lines(argv[2], argc > 3 ? RZ_ENCODE_SPECIAL : 0);
    if (argc == 1)
        return bench("models/demo.gguf", "ARCHITECTURE.md", 9);
    int n_runs = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 9;
    if (argc < 3 || n_runs < 1 || n_runs > MAX_RUNS) {
        fprintf(stderr, "usage: bench_tokenizer MODEL.gguf TEXTFILE [RUNS]\n"
                        "       bench_tokenizer --encode-lines MODEL.gguf [--special]\n");
        return 2;
    }
    return bench(argv[1], argv[2], n_runs);
}
