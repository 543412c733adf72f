/* cmd_tokenize.c - `apr tokenize MODEL [TEXT|-]`: text to token ids, and back. */
#include "base/buf.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/ids.h"
#include "cli/io.h"
#include "cli/load.h"

#include <string.h>
#include <unistd.h>

struct tokenize_args {
    bool decode, special, no_special, bos, json;
};

#define FIELD(f) offsetof(struct tokenize_args, f)

static const struct cli_option tokenize_options[] = {
    CLI_ROW_FLAG('d', "decode", FIELD(decode), "the operands are ids; print their text"),
    CLI_ROW_FLAG(0, "special", FIELD(special),
                 "special tokens written in the text become their ids (default)"),
    CLI_ROW_FLAG(0, "no-special", FIELD(no_special),
                 "special tokens are plain text; with --decode: leave them out"),
    CLI_ROW_FLAG(0, "bos", FIELD(bos), "add BOS and EOS where the model's file says so"),
    CLI_ROW_FLAG(0, "json", FIELD(json), "print a JSON object: ids, count, pieces (or text)"),
    {0},
};

static json_t *ids_array(const rz_ids *ids)
{
    json_t *array = json_array();
    for (size_t i = 0; i < ids->len; i++)
        json_array_append_new(array, json_integer(ids->data[i]));
    return array;
}

static rz_status print_ids(const rz_tokenizer *tok, const rz_ids *ids, bool json, rz_error *err)
{
    if (!json) {
        for (size_t i = 0; i < ids->len; i++)
            printf("%s%d", i ? " " : "", (int)ids->data[i]);
        putchar('\n');
        return RZ_OK;
    }
    json_t *pieces = json_array();
    for (size_t i = 0; i < ids->len; i++) {
        rz_slice piece = rz_tokenizer_bytes(tok, ids->data[i]);
        json_array_append_new(pieces, cli_json_text(piece.data, piece.len));
    }
    return cli_out_json(json_pack("{so sI so}", "ids", ids_array(ids), "count",
                                  (json_int_t)ids->len, "pieces", pieces),
                        err);
}

static rz_status decode(const rz_tokenizer *tok, const struct cli_call *call, rz_error *err)
{
    const struct tokenize_args *a = call->args;
    rz_ids ids = {0};
    rz_text text = {0};
    rz_status status = RZ_OK;
    for (size_t i = 1; !status && i < call->n_operands; i++)
        status = cli_parse_ids(call->operands[i], rz_tokenizer_n_vocab(tok), &ids, err);
    rz_detok d;
    rz_detok_init(&d, tok, !a->no_special);
    for (size_t i = 0; !status && i < ids.len; i++)
        status = rz_detok_feed(&d, ids.data[i], &text, err);
    if (!status)
        status = rz_detok_finish(&d, &text, err);
    if (!status && a->json)
        status = cli_out_json(json_pack("{so so}", "ids", ids_array(&ids), "text",
                                        cli_json_text(text.data, text.len)),
                              err);
    else if (!status)
        status = cli_out_answer(text.data, text.len, err);
    if (!status && !a->json)
        putchar('\n');
    rz_text_free(&text);
    rz_ids_free(&ids);
    return status;
}

static rz_status encode(const rz_tokenizer *tok, const struct cli_call *call, rz_error *err)
{
    const struct tokenize_args *a = call->args;
    const char *text = call->n_operands > 1 ? call->operands[1] : NULL;
    if (!text && isatty(STDIN_FILENO))
        return rz_fail(err, RZ_EUSAGE, "a text is missing: apr tokenize MODEL TEXT");
    struct rz_buf in;
    rz_buf_init(&in, CLI_MAX_INPUT);
    rz_ids ids = {0};
    unsigned flags =
        (a->no_special ? 0u : RZ_ENCODE_SPECIAL) | (a->bos ? (unsigned)RZ_ENCODE_BOS_EOS : 0u);
    rz_status status = RZ_OK;
    if (!text || !strcmp(text, "-"))
        status = cli_read_input("-", &in, err);
    else if (!rz_buf_str(&in, text))
        status = rz_fail_nomem(err, strlen(text), "the text");
    if (!status)
        status = cli_check_utf8(in.data, in.len, "the text", err);
    if (!status)
        status = rz_tokenizer_encode(tok, in.data, in.len, flags, &ids, err);
    if (!status)
        status = print_ids(tok, &ids, a->json, err);
    rz_ids_free(&ids);
    rz_buf_fini(&in);
    return status;
}

static rz_status tokenize(const struct cli_call *call, rz_error *err)
{
    const struct tokenize_args *a = call->args;
    if (a->special && a->no_special)
        return rz_fail(err, RZ_EUSAGE, "--special and --no-special contradict each other");
    if (a->decode && a->bos)
        return rz_fail(err, RZ_EUSAGE, "--bos is for text, not for --decode");
    if (a->decode && call->n_operands < 2)
        return rz_fail(err, RZ_EUSAGE, "--decode needs ids: apr tokenize MODEL --decode 1 2 3");
    if (!a->decode && call->n_operands > 2)
        return rz_fail(err, RZ_EUSAGE, "give one text; quote it if it has several words");
    char *path = NULL;
    rz_file *file = NULL;
    rz_tokenizer *tok = NULL;
    rz_status status = cli_model_path(&path, call->operands[0], err);
    if (!status)
        status = rz_file_open_packed(&file, path, err);
    if (!status)
        status = rz_tokenizer_new(&tok, file, err);
    if (!status)
        status = a->decode ? decode(tok, call, err) : encode(tok, call, err);
    rz_tokenizer_free(&tok);
    rz_file_close(&file);
    free(path);
    return status;
}

const struct cli_command cmd_tokenize = {
    .name = "tokenize",
    .operands = "MODEL [TEXT|-]",
    .summary = "print a text's token ids, or the text of ids",
    .details = "Without TEXT, or with -, the text is standard input, to its last byte.\n"
               "apr tokenize MODEL --decode ID... goes the other way.",
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .args_size = sizeof(struct tokenize_args),
    .groups = {{"Options", tokenize_options, 0}},
    .run = tokenize,
};
