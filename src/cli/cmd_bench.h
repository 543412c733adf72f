/* cmd_bench.h - what the parts of `apr bench` share: cases, their samples, and who is compared. */
#ifndef RZ_CLI_CMD_BENCH_H
#define RZ_CLI_CMD_BENCH_H

#include "cli/load.h"

#include <jansson.h>
#include <realizar/bench.h>

enum {
    BENCH_MAX_LIST = 16,
    BENCH_MAX_CASES = 256,
    BENCH_MAX_BASELINES = 4,
    BENCH_MAX_RUNS = 10000
};

struct bench_args {
    const char *prompt_tokens, *gen_tokens, *depth, *batch, *kv;
    struct cli_uint runs, warmup;
    struct cli_list baselines;
    const char *csv, *svg, *png;
    bool fast, json, bars, quiet;
    struct cli_model_args model;
};

struct bench_list {
    uint32_t item[BENCH_MAX_LIST];
    size_t n;
};

/* Another program's samples of a case, paired with ours: run i of both came one after the other. */
struct bench_rival {
    double *rate;                    /* [runs] tokens per second; 0: it did not report the case */
    double *read;                    /* [runs] bytes per second that could be read beside it */
    rz_stats stats, ratio, fraction; /* ratio: ours over theirs, pair by pair; n 0: not compared.
                                        fraction: of the limit of its moment */
};

struct bench_case {
    bool decode;
    uint32_t n, depth, batch;
    double *rate;     /* [runs] tokens per second, of all sequences together */
    double *first_s;  /* [runs] prefill: seconds to the first token */
    double *read;     /* [runs] bytes per second that could be read just before or after */
    size_t n_samples; /* of them, so far */
    rz_stats stats, first, fraction; /* fraction: of each run's limit */
    rz_work work;
    double limit; /* tokens per second, median of the runs' */
    bool memory_bound;
    struct bench_rival rival[BENCH_MAX_BASELINES];
};

struct bench_baseline {
    char name[32];
    const char *path; /* of its llama-bench; NULL: Ollama */
    char url[256];    /* of Ollama's /api/generate */
    const char *ollama_model;
};

struct bench_job {
    const struct bench_args *args;
    struct cli_loaded l;
    rz_bench *bench;
    rz_limits limits;
    rz_reads *reads;
    double read_before; /* what could be read last, bytes per second */
    struct bench_list prompt, gen, depth, batch;
    uint32_t runs, warmup;
    struct bench_case *cases;
    size_t n_cases;
    double *scratch; /* [runs] */
    struct bench_baseline baseline[BENCH_MAX_BASELINES];
    size_t n_baselines;
    double *load; /* [n_loads] seconds */
    size_t n_loads;
    rz_stats load_stats;
    uint64_t peak_memory;
    rz_dtype kv_type;
};

/* "prefill 512", "decode 128 at depth 2048, batch 4", in text, which is returned. */
enum {
    BENCH_NAME_MAX = 96
};
const char *bench_case_name(char text[BENCH_NAME_MAX], const struct bench_case *c);

/* Measures what can be read now, after something that was measured; returns the larger of this and
 * of the one before. */
double bench_read_beside(struct bench_job *j);

/* ---- cmd_bench_baseline.c ---- */

/* Reads the --baseline options. Errors: RZ_EUSAGE, RZ_ENOTBUILT, RZ_ENOTFOUND. */
rz_status bench_parse_baselines(struct bench_job *j, rz_error *err);
/* RZ_EUSAGE if a baseline cannot run with our type of KV cache. */
rz_status bench_check_baselines(const struct bench_job *j, rz_error *err);
/* One run of every baseline over the cases of a depth; fills sample i_run. */
rz_status bench_run_baselines(struct bench_job *j, uint32_t depth, size_t i_run, rz_error *err);

/* ---- cmd_bench_ollama.c ---- */

/* where: URL/MODEL. Errors: RZ_EUSAGE. */
rz_status bench_parse_ollama(struct bench_baseline *b, const char *where, rz_error *err);
/* Baseline at[0], run at[1], of the cases of a depth. */
rz_status bench_run_ollama(struct bench_job *j, uint32_t depth, const size_t at[2], rz_error *err);

/* ---- cmd_bench_report.c ---- */

void bench_print_table(const struct bench_job *j);
rz_status bench_print_json(const struct bench_job *j, rz_error *err);
/* --csv, --svg, --png, --bars. */
rz_status bench_write_files(const struct bench_job *j, rz_error *err);
/* Why the charts asked for cannot be drawn, before hours are spent on measuring. */
rz_status bench_check_files(const struct bench_args *a, rz_error *err);

/* {"read_bytes_per_s" ...}; also `apr profile`'s. */
json_t *bench_limits_json(const rz_limits *limits);
/* The CPU's name as /proc/cpuinfo has it, or "unknown". */
void bench_cpu_name(char *name, size_t size);

#endif
