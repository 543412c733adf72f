/* cmd_chat.c - `apr chat MODEL`: a conversation. The session keeps the tokens of all turns, and
 * each turn feeds only what its rendered prompt has beyond them. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/conversation.h"
#include "cli/input.h"
#include "cli/io.h"
#include "cli/prompt.h"
#include "cli/sampling.h"

#include <string.h>

struct chat_args {
    const char *system;
    bool verbose, quiet;
    struct cli_model_args model;
    struct cli_engine_args engine;
    struct cli_sampling_args sampling;
    struct cli_cache_args cache;
};

#define FIELD(f) offsetof(struct chat_args, f)

static const struct cli_option chat_options[] = {
    CLI_ROW(CLI_STRING, 0, "system", "TEXT", FIELD(system), "the system message"),
    CLI_ROW_FLAG('v', "verbose", FIELD(verbose),
                 "tell about the model and, for each turn, tokens reused and fed and the speed"),
    CLI_ROW_FLAG('q', "quiet", FIELD(quiet), "no spinner, no greeting, no notes"),
    {0},
};

struct chat {
    const struct chat_args *args;
    struct cli_loaded l;
    struct cli_sampling sampling;
    struct cli_input *input;
    json_t *messages;
    uint64_t n_regens; /* added to the seed: a draw depends on it and the tokens alone */
    bool exit;
};

/* ---- a turn ---- */

static void describe_turn(const struct chat *c, const rz_ids *ids, size_t n_reused, double feed_s,
                          const rz_generation *g)
{
    cli_note("turn      %zu tokens reused, %zu fed in %.1f ms; answer %zu tokens, %.1f tokens/s, "
             "finish: %s; context %zu of %u",
             n_reused, ids->len - n_reused, feed_s * 1e3, g->ids.len, cli_generation_rate(g),
             rz_finish_name(g->finish), ids->len + g->ids.len, rz_engine_n_ctx(c->l.engine));
}

static rz_status generate(struct chat *c, const rz_ids *ids, rz_error *err)
{
    double start = rz_now_s();
    size_t n_reused = 0;
    RZ_TRY(cli_feed(&c->l, ids, &n_reused, err));
    double feed_s = rz_now_s() - start;
    rz_sampler_options options = c->sampling.options;
    options.seed += c->n_regens;
    rz_sampler *sampler = NULL;
    RZ_TRY(rz_sampler_new(&sampler, rz_model_get_info(c->l.model)->n_vocab, &options, err));
    rz_generation g;
    rz_status status = cli_generate(&c->l, sampler, &c->args->sampling, true, &g, err);
    rz_sampler_free(&sampler);
    rz_status printed = status == RZ_EIO ? RZ_OK : cli_out_answer("\n", 1, status ? NULL : err);
    if (!status)
        status = printed;
    if (!status)
        status = cli_add_message(c->messages, "assistant", g.text.data, g.text.len, err);
    if (!status && !c->args->quiet)
        cli_note_cut(&c->l, &c->args->sampling, &g);
    if (!status && c->args->verbose)
        describe_turn(c, ids, n_reused, feed_s, &g);
    if (!status && g.finish == RZ_FINISH_CANCEL && !cli_input_is_terminal(c->input))
        status = RZ_ECANCEL;
    rz_generation_free(&g);
    return status;
}

/* Answers the last message, which is the user's; on failure drops it. */
static rz_status answer(struct chat *c, rz_error *err)
{
    rz_ids ids = {0};
    rz_status status = cli_encode_chat(c->l.model, c->messages, &ids, err);
    if (!status && ids.len == 0)
        status = rz_fail(err, RZ_EINFER, "the model's chat template made an empty prompt");
    if (!status)
        status = generate(c, &ids, err);
    rz_ids_free(&ids);
    if (status && cli_last_is(c->messages, "user"))
        cli_drop_last(c->messages, 1);
    return status;
}

/* ---- commands ---- */

static rz_status do_clear(struct chat *c, const char *arg, rz_error *err)
{
    (void)arg;
    (void)err;
    cli_drop_last(c->messages, json_array_size(c->messages) - !!cli_system_of(c->messages));
    return RZ_OK;
}

static rz_status do_system(struct chat *c, const char *arg, rz_error *err)
{
    if (*arg)
        return cli_set_system(c->messages, strcmp(arg, "\"\"") ? arg : "", err);
    const char *text = cli_system_of(c->messages);
    cli_note("%s", text ? text : "there is no system message");
    return RZ_OK;
}

static rz_status do_save(struct chat *c, const char *arg, rz_error *err)
{
    if (!*arg)
        return rz_fail(err, RZ_EUSAGE, "/save needs the name of a file");
    RZ_TRY(cli_save_conversation(c->messages, c->l.path, arg, err));
    cli_note("%zu messages saved to %s", json_array_size(c->messages), arg);
    return RZ_OK;
}

static rz_status do_load(struct chat *c, const char *arg, rz_error *err)
{
    if (!*arg || !strcmp(arg, "-"))
        return rz_fail(err, RZ_EUSAGE, "/load needs the name of a file");
    RZ_TRY(cli_load_conversation(&c->messages, arg, err));
    cli_note("%zu messages loaded from %s", json_array_size(c->messages), arg);
    return RZ_OK;
}

static rz_status do_regen(struct chat *c, const char *arg, rz_error *err)
{
    (void)arg;
    if (!cli_last_is(c->messages, "assistant"))
        return rz_fail(err, RZ_EUSAGE, "there is no answer to make again");
    json_t *old = json_incref(json_array_get(c->messages, json_array_size(c->messages) - 1));
    cli_drop_last(c->messages, 1);
    rz_status status = RZ_OK;
    if (!cli_last_is(c->messages, "user"))
        status = rz_fail(err, RZ_EUSAGE, "the last answer has no question before it");
    if (!status && c->sampling.options.temperature <= 0 && !c->args->quiet)
        cli_note("the temperature is 0: the answer will be the same");
    c->n_regens++;
    if (!status) {
        json_t *question =
            json_incref(json_array_get(c->messages, json_array_size(c->messages) - 1));
        status = answer(c, err);
        if (status && !cli_last_is(c->messages, "user"))
            json_array_append(c->messages, question);
        json_decref(question);
    }
    if (status) /* the old answer stays */
        json_array_append(c->messages, old);
    json_decref(old);
    return status;
}

static rz_status do_exit(struct chat *c, const char *arg, rz_error *err)
{
    (void)arg;
    (void)err;
    c->exit = true;
    return RZ_OK;
}

static rz_status do_help(struct chat *c, const char *arg, rz_error *err);

static const struct chat_command {
    const char *name, *arg, *help;
    rz_status (*run)(struct chat *c, const char *arg, rz_error *err);
} chat_commands[] = {
    {"help", "", "show this", do_help},
    {"clear", "", "forget the conversation; the system message stays", do_clear},
    {"system", "TEXT", "set the system message; \"\" removes it, no text shows it", do_system},
    {"save", "FILE", "write the conversation to FILE, as JSON", do_save},
    {"load", "FILE", "go on with the conversation in FILE", do_load},
    {"regen", "", "make the last answer again, with another seed", do_regen},
    {"exit", "", "leave; so does Ctrl-D", do_exit},
};

static rz_status do_help(struct chat *c, const char *arg, rz_error *err)
{
    (void)c;
    (void)arg;
    (void)err;
    for (size_t i = 0; i < RZ_ARRAY_LEN(chat_commands); i++)
        fprintf(stderr, "/%-7s %-5s %s\n", chat_commands[i].name, chat_commands[i].arg,
                chat_commands[i].help);
    fputs("A message may have several lines: end a line with \\, or put it between \"\"\" and "
          "\"\"\".\nCtrl-C stops an answer.\n",
          stderr);
    return RZ_OK;
}

/* line: "/name argument". */
static rz_status run_chat_command(struct chat *c, const char *line, rz_error *err)
{
    const char *name = line + 1;
    size_t len = strcspn(name, " \t\n");
    const char *arg = name + len + strspn(name + len, " \t\n");
    for (size_t i = 0; i < RZ_ARRAY_LEN(chat_commands); i++) {
        const struct chat_command *known = &chat_commands[i];
        if (strlen(known->name) != len || memcmp(known->name, name, len) != 0)
            continue;
        if (*arg && !*known->arg)
            return rz_fail(err, RZ_EUSAGE, "/%s takes no argument", known->name);
        return known->run(c, arg, err);
    }
    return rz_fail(err, RZ_EUSAGE, "there is no command /%.*s; /help lists them",
                   (int)(len < 32 ? len : 32), name);
}

/* ---- the loop ---- */

static rz_status take_message(struct chat *c, struct rz_buf *text, rz_error *err)
{
    if (text->len == 0)
        return RZ_OK;
    RZ_TRY(cli_check_utf8(text->data, text->len, "the message", err));
    if (text->data[0] == '/') {
        if (strlen(text->data) != text->len)
            return rz_fail(err, RZ_EUSAGE, "a command holds no zero bytes");
        return run_chat_command(c, text->data, err);
    }
    if (json_array_size(c->messages) + 2 > CLI_MAX_MESSAGES)
        return rz_fail(err, RZ_EUSAGE, "the conversation has %d messages; /clear starts over",
                       CLI_MAX_MESSAGES);
    RZ_TRY(cli_add_message(c->messages, "user", text->data, text->len, err));
    return answer(c, err);
}

/* With a person at the keyboard a failure is told and the conversation goes on; a script ends with
 * it. A failure of stdout or of memory ends both. */
static bool goes_on(const struct chat *c, rz_status status)
{
    return cli_input_is_terminal(c->input) && status != RZ_ENOMEM;
}

static rz_status converse(struct chat *c, struct rz_buf *text, rz_error *err)
{
    cli_interrupt_catch();
    while (!c->exit) {
        enum cli_input_result r = cli_input_message(c->input, text, err);
        if (r == CLI_INPUT_END)
            break;
        if (r == CLI_INPUT_FAILED)
            return err->code;
        if (r == CLI_INPUT_INTERRUPT && !cli_input_is_terminal(c->input))
            return RZ_ECANCEL;
        rz_status status = r == CLI_INPUT_TEXT ? take_message(c, text, err) : RZ_OK;
        cli_interrupt_clear();
        if (!status)
            continue;
        if (!goes_on(c, status))
            return status;
        rz_error out_err;
        if (cli_out_flush(&out_err))
            return rz_fail(err, out_err.code, "%s", out_err.text);
        if (status == RZ_ECANCEL)
            cli_note("stopped before the answer began; the message is dropped");
        else
            cli_note("%s", err->text);
        err->code = RZ_OK;
    }
    return RZ_OK;
}

static rz_status open_chat(struct chat *c, const char *operand, rz_error *err)
{
    const struct chat_args *a = c->args;
    rz_generate_options checked;
    RZ_TRY(cli_generate_options(&checked, &a->sampling, err));
    RZ_TRY(cli_check_cache(&a->cache, &a->model, err));
    c->l.cache = &a->cache;
    RZ_TRY(cli_load(&c->l, operand, &a->model, &a->engine, a->quiet, err));
    if (!rz_model_get_template(c->l.model))
        return rz_fail(err, RZ_ELOAD,
                       "%s has no chat template: it is a base model, which `apr run` completes "
                       "texts with",
                       c->l.path);
    RZ_TRY(cli_sampling_resolve(&c->sampling, &a->sampling, &c->l, err));
    rz_sampler *sampler = NULL; /* each turn makes its own; bad options are told now */
    RZ_TRY(rz_sampler_new(&sampler, rz_model_get_info(c->l.model)->n_vocab, &c->sampling.options,
                          err));
    rz_sampler_free(&sampler);
    c->messages = json_array();
    if (!c->messages)
        return rz_fail_nomem(err, 0, "messages");
    return a->system ? cli_set_system(c->messages, a->system, err) : RZ_OK;
}

static rz_status chat(const struct cli_call *call, rz_error *err)
{
    struct chat c = {.args = call->args};
    struct rz_buf text;
    rz_buf_init(&text, CLI_MAX_LINE);
    rz_status status = open_chat(&c, call->operands[0], err);
    if (!status && c.args->verbose) {
        cli_describe(&c.l);
        cli_describe_memory(&c.l);
        cli_describe_sampling(&c.sampling);
    }
    if (!status)
        status = cli_input_open(&c.input, err);
    if (!status && cli_input_is_terminal(c.input) && !c.args->quiet)
        fputs("/help lists the commands, Ctrl-D leaves.\n", stderr);
    if (!status)
        status = converse(&c, &text, err);
    cli_input_close(&c.input);
    rz_buf_fini(&text);
    json_decref(c.messages);
    if (!status)
        cli_warm_keep(&c.l, c.args->quiet);
    cli_unload(&c.l);
    return status;
}

const struct cli_command cmd_chat = {
    .name = "chat",
    .operands = "MODEL",
    .summary = "have a conversation",
    .details =
        "On a terminal, lines can be edited and come back from the history; /help lists the\n"
        "commands. From a pipe, each line is a message and only the answers are printed;\n"
        "the first failure ends it.",
    .min_operands = 1,
    .max_operands = 1,
    .args_size = sizeof(struct chat_args),
    .groups = {{"Options", chat_options, 0},
               {"Answers", cli_sampling_options, FIELD(sampling)},
               {"Context", cli_engine_options, FIELD(engine)},
               {"Computing", cli_model_options, FIELD(model)},
               {"Cache", cli_cache_options, FIELD(cache)}},
    .run = chat,
};
