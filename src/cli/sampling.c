/* sampling.c - sampler options and where their values come from; streaming of an answer. */
#include "cli/sampling.h"

#include "base/buf.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/io.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#define FIELD(f) offsetof(struct cli_sampling_args, f)

const struct cli_option cli_sampling_options[] = {
    CLI_ROW(CLI_UINT, 'n', "max-tokens", "N", FIELD(max_tokens),
            "most tokens of an answer (default 512; 0: until the context is full)"),
    CLI_ROW(CLI_LIST, 0, "stop", "TEXT", FIELD(stops),
            "end the answer before this text; may be given up to 16 times"),
    CLI_ROW_RANGE(CLI_FLOAT, 0, "temperature", "T", 0, 100, FIELD(temperature),
                  "randomness; 0: always the likeliest token (default: what the model's file "
                  "recommends, else 0; the same for the options below)"),
    CLI_ROW_RANGE(CLI_UINT, 0, "top-k", "K", 0, 1 << 24, FIELD(top_k),
                  "choose among the K likeliest tokens; 0: off"),
    CLI_ROW_RANGE(CLI_FLOAT, 0, "top-p", "P", 1e-6, 1, FIELD(top_p),
                  "choose among the likeliest that together reach P; 1: off"),
    CLI_ROW_RANGE(CLI_FLOAT, 0, "min-p", "P", 0, 1, FIELD(min_p),
                  "choose among those at least P times as likely as the likeliest; 0: off"),
    CLI_ROW_RANGE(CLI_FLOAT, 0, "repeat-penalty", "X", 0.01, 100, FIELD(repeat_penalty),
                  "make tokens that occurred less likely; 1: off"),
    CLI_ROW_RANGE(CLI_FLOAT, 0, "frequency-penalty", "X", -2, 2, FIELD(frequency_penalty),
                  "subtract X times a token's count from its logit; 0: off"),
    CLI_ROW_RANGE(CLI_FLOAT, 0, "presence-penalty", "X", -2, 2, FIELD(presence_penalty),
                  "subtract X from the logit of a token that occurred; 0: off"),
    CLI_ROW_RANGE(CLI_UINT, 0, "repeat-last-n", "N", 0, 1 << 24, FIELD(repeat_last_n),
                  "tokens that the three penalties look back on (default 64; 0: none)"),
    CLI_ROW(CLI_UINT, 0, "seed", "N", FIELD(seed),
            "start of the random choices: same seed, same text (default 299792458)"),
    CLI_ROW(CLI_LIST, 0, "logit-bias", "ID=BIAS", FIELD(logit_bias),
            "add BIAS to a token's logit, -inf forbids it; may be given several times"),
    {0},
};

/* A number of generation_config.json, if it is there; false if it is no number in the range. */
static bool config_number(const json_t *config, const char *key, double min, double max,
                          double *value)
{
    const json_t *v = json_object_get(config, key);
    if (!v || json_is_null(v))
        return true;
    double x = json_number_value(v);
    if (!json_is_number(v) || x < min || x > max)
        return false;
    *value = x;
    return true;
}

static bool apply_config(rz_sampler_options *o, const json_t *config)
{
    double temperature = 1, top_k = 0, top_p = 1, min_p = 0, penalty = 1;
    if (!json_is_object(config) || !config_number(config, "temperature", 0, 100, &temperature) ||
        !config_number(config, "top_k", 0, 1 << 24, &top_k) ||
        !config_number(config, "top_p", 1e-6, 1, &top_p) ||
        !config_number(config, "min_p", 0, 1, &min_p) ||
        !config_number(config, "repetition_penalty", 0.01, 100, &penalty))
        return false;
    if (!json_is_true(json_object_get(config, "do_sample")))
        temperature = 0;
    o->temperature = (float)temperature;
    o->top_k = (uint32_t)top_k;
    o->top_p = (float)top_p;
    o->min_p = (float)min_p;
    o->repeat_penalty = (float)penalty;
    return true;
}

/* Reads the generation_config.json in the model file's folder. *found is set if there was one that
 * could be used; one that cannot is named in a note. */
static void config_beside(rz_sampler_options *o, const char *model_path, bool *found)
{
    static const char name[] = "generation_config.json";
    const char *slash = strrchr(model_path, '/');
    char *path;
    if (asprintf(&path, "%.*s%s", slash ? (int)(slash - model_path + 1) : 0, model_path, name) < 0)
        return;
    if (!access(path, R_OK)) {
        struct rz_buf text;
        rz_buf_init(&text, 1 << 20);
        rz_error err;
        json_t *config = NULL;
        if (!cli_read_input(path, &text, &err))
            config = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
        *found = config && apply_config(o, config);
        if (!*found)
            cli_note("%s is not used: it is not a generation config with values in range", path);
        json_decref(config);
        rz_buf_fini(&text);
    }
    free(path);
}

static rz_status parse_bias(const char *text, uint32_t n_vocab, rz_logit_bias *bias, rz_error *err)
{
    char id[24];
    const char *equals = strchr(text, '=');
    size_t len = equals ? (size_t)(equals - text) : sizeof id;
    uint64_t v;
    double x;
    if (len < sizeof id) {
        memcpy(id, text, len);
        id[len] = '\0';
        if (cli_parse_uint(id, &v) && v < n_vocab && cli_parse_float(equals + 1, &x) &&
            (fabs(x) <= 1e6 || (isinf(x) && x < 0))) {
            *bias = (rz_logit_bias){(int32_t)v, (float)x};
            return RZ_OK;
        }
    }
    return rz_fail(err, RZ_EUSAGE,
                   "--logit-bias takes ID=BIAS, ID below %u and BIAS a number or -inf, not '%s'",
                   n_vocab, text);
}

static void override_float(float *field, struct cli_float given)
{
    if (given.set)
        *field = (float)given.value;
}

rz_status cli_sampling_resolve(struct cli_sampling *s, const struct cli_sampling_args *args,
                               const struct cli_loaded *l, rz_error *err)
{
    const rz_model *model = l->model;
    rz_sampler_options *o = &s->options;
    *o = rz_sampler_options_default();
    s->source = "the built-in defaults";
    bool found = false;
    RZ_TRY(rz_sampler_options_from_file(o, rz_model_get_file(model), &found, err));
    if (found) {
        s->source = "the model's file";
    } else {
        config_beside(o, l->path, &found);
        if (found)
            s->source = "generation_config.json beside the model";
    }
    override_float(&o->temperature, args->temperature);
    override_float(&o->top_p, args->top_p);
    override_float(&o->min_p, args->min_p);
    override_float(&o->repeat_penalty, args->repeat_penalty);
    override_float(&o->frequency_penalty, args->frequency_penalty);
    override_float(&o->presence_penalty, args->presence_penalty);
    o->top_k = (uint32_t)cli_uint_or(args->top_k, o->top_k);
    o->repeat_last_n = (uint32_t)cli_uint_or(args->repeat_last_n, o->repeat_last_n);
    o->seed = cli_uint_or(args->seed, o->seed);
    uint32_t n_vocab = rz_model_get_info(model)->n_vocab;
    for (size_t i = 0; i < args->logit_bias.n; i++)
        RZ_TRY(parse_bias(args->logit_bias.items[i], n_vocab, &s->bias[i], err));
    o->bias = s->bias;
    o->n_bias = args->logit_bias.n;
    return RZ_OK;
}

void cli_describe_sampling(const struct cli_sampling *s)
{
    const rz_sampler_options *o = &s->options;
    char last[32] = "the whole context";
    if (o->repeat_last_n != UINT32_MAX)
        snprintf(last, sizeof last, "%u tokens", o->repeat_last_n);
    cli_note("sampler   temperature %g%s, top-k %u, top-p %g, min-p %g, repeat penalty %g, "
             "frequency penalty %g, presence penalty %g over %s, %zu biases, seed %llu; "
             "from %s, then the options given",
             (double)o->temperature, o->temperature > 0 ? "" : " (greedy)", o->top_k,
             (double)o->top_p, (double)o->min_p, (double)o->repeat_penalty,
             (double)o->frequency_penalty, (double)o->presence_penalty, last, o->n_bias,
             (unsigned long long)o->seed, s->source);
}

rz_status cli_generate_options(rz_generate_options *g, const struct cli_sampling_args *args,
                               rz_error *err)
{
    if (args->stops.n > RZ_MAX_STOPS)
        return rz_fail(err, RZ_EUSAGE, "--stop may be given %d times", RZ_MAX_STOPS);
    for (size_t i = 0; i < args->stops.n; i++) {
        size_t len = strlen(args->stops.items[i]);
        if (len == 0 || len > RZ_MAX_STOP_BYTES)
            return rz_fail(err, RZ_EUSAGE, "--stop takes a text of 1 to %d bytes, not %zu",
                           RZ_MAX_STOP_BYTES, len);
    }
    *g = (rz_generate_options){
        .max_tokens = cli_uint_or(args->max_tokens, CLI_MAX_TOKENS),
        .stops = args->stops.items,
        .n_stops = args->stops.n,
    };
    return RZ_OK;
}

/* Where the pieces of an answer go. */
struct stream {
    bool print;
    rz_status status; /* of stdout */
    rz_error *err;
};

static bool on_text(void *ctx, const char *text, size_t len, int32_t id)
{
    (void)id;
    struct stream *s = ctx;
    if (s->print && len)
        s->status = cli_out_answer(text, len, s->err);
    return !s->status && !cli_interrupted();
}

rz_status cli_generate(const struct cli_loaded *l, rz_sampler *sampler,
                       const struct cli_sampling_args *args, bool stream, rz_generation *out,
                       rz_error *err)
{
    *out = (rz_generation){0};
    struct stream s = {.print = stream, .err = err};
    rz_generate_options options;
    RZ_TRY(cli_generate_options(&options, args, err));
    options.on_text = on_text;
    options.ctx = &s;
    rz_status status = rz_generate(l->session, sampler, &options, out, err);
    return s.status ? s.status : status;
}

void cli_note_cut(const struct cli_loaded *l, const struct cli_sampling_args *args,
                  const rz_generation *g)
{
    if (g->finish == RZ_FINISH_LENGTH)
        cli_note("stopped at --max-tokens %llu",
                 (unsigned long long)cli_uint_or(args->max_tokens, CLI_MAX_TOKENS));
    else if (g->finish == RZ_FINISH_CONTEXT)
        cli_note("stopped: the context of %u tokens is full", rz_engine_n_ctx(l->engine));
}

double cli_generation_rate(const rz_generation *g)
{
    return g->ids.len > 1 && g->rest_s > 0 ? (double)(g->ids.len - 1) / g->rest_s : 0;
}
