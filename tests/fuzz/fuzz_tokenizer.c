/* fuzz_tokenizer.c - any text through every pre-tokenizer and both models, on a small vocabulary.
 * The first byte picks the vocabulary, the second the flags; the rest is text. Valid text must
 * encode, decode to its NFC (byte-level) or to itself (SentencePiece, byte tokens), and give the
 * same ids when it is encoded again; invalid text must be refused. */
#include "base/utf8.h"
#include "formats/gguf.h"
#include "support/gguf_build.h"
#include "tokenizer/nfc.h"
#include "tokenizer/pretok.h"

#include <realizar/tokenizer.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum {
    MAX_PRES = 64,
    N_MODELS = MAX_PRES + 2 /* one for each pre-tokenizer; SentencePiece, cut at spaces and not */
};

static struct model {
    struct gguf_build build;
    rz_file *file;
    rz_tokenizer *tok;
} models[N_MODELS];

static char byte_text[256][8];
static const char *tokens[320];
static int32_t types[320];
static float scores[320];
static size_t n_tokens;

static void add(const char *text, int32_t type)
{
    scores[n_tokens] = -(float)(n_tokens % 17);
    types[n_tokens] = type;
    tokens[n_tokens++] = text;
}

static void finish(struct model *m)
{
    size_t len;
    gb_strings(&m->build, "tokenizer.ggml.tokens", tokens, n_tokens);
    gb_numbers(&m->build, "tokenizer.ggml.token_type", GB_I32, types, n_tokens);
    gb_numbers(&m->build, "tokenizer.ggml.scores", GB_F32, scores, n_tokens);
    const uint8_t *data = gb_build(&m->build, &len);
    CHECK(!rz_gguf_open_memory(&m->file, "fuzz", data, len, NULL));
    CHECK(!rz_tokenizer_new(&m->tok, m->file, NULL));
}

static void make_bpe(struct model *m, const char *pre)
{
    static const char *const merges[] = {"a a",        "aa aa",
                                         "\xC4\xA0 a", "a b",
                                         "ab ab",      "\xC4\xA0 \xC4\xA0",
                                         "e r",        "\xC3\x8C \xC4\xA3",
                                         "1 2",        "12 3",
                                         "\xC4\xA0 ab"};
    static char joined[16][32];
    unsigned n_shifted = 0;
    n_tokens = 0;
    for (unsigned b = 0; b < 256; b++) {
        bool itself = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        uint32_t cp = itself ? b : 256 + n_shifted++;
        byte_text[b][rz_utf8_encode(cp, byte_text[b])] = '\0';
        add(byte_text[b], 1);
    }
    for (size_t i = 0; i < sizeof merges / sizeof *merges; i++) {
        const char *space = strchr(merges[i], ' ');
        snprintf(joined[i], sizeof joined[i], "%.*s%s", (int)(space - merges[i]), merges[i],
                 space + 1);
        add(joined[i], 1);
    }
    add("<|im_end|>", 3);
    add("<tool>", 4);
    add("<tool", 4);
    add("abba", 4);
    gb_init(&m->build);
    gb_string(&m->build, "tokenizer.ggml.model", "gpt2");
    gb_string(&m->build, "tokenizer.ggml.pre", pre);
    gb_strings(&m->build, "tokenizer.ggml.merges", merges, sizeof merges / sizeof *merges);
    finish(m);
}

static void make_spm(struct model *m, bool cut)
{
    static const char *const pieces[] = {"\xE2\x96\x81", "a",        "b",
                                         "aa",           "aaaa",     "\xE2\x96\x81\x61",
                                         "ab",           "\xC3\xA9", "\xE2\x96\x81\xE2\x96\x81",
                                         "abab"};
    n_tokens = 0;
    add("<unk>", 2);
    add("<s>", 3);
    add("</s>", 3);
    for (unsigned b = 0; b < 256; b++) {
        snprintf(byte_text[b], sizeof byte_text[b], "<0x%02X>", b);
        add(byte_text[b], 6);
    }
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        add(pieces[i], 1);
    if (!cut)
        add("a\xE2\x96\x81", 1);
    add("<tool>", 4);
    gb_init(&m->build);
    gb_string(&m->build, "tokenizer.ggml.model", "llama");
    finish(m);
}

static void make_models(void)
{
    static bool done;
    if (done)
        return;
    done = true;
    for (size_t i = 0; i < MAX_PRES; i++)
        if (rz_pre_name_at(i))
            make_bpe(&models[i], rz_pre_name_at(i));
    make_spm(&models[MAX_PRES], true);
    make_spm(&models[MAX_PRES + 1], false);
}

static void check_decoded(const rz_tokenizer *tok, const rz_ids *ids, const char *text, size_t len)
{
    rz_text out = {0};
    rz_detok d;
    rz_detok_init(&d, tok, true);
    for (size_t i = 0; i < ids->len; i++) {
        CHECK(!rz_detok_feed(&d, ids->data[i], &out, NULL));
        CHECK(rz_utf8_valid(out.data ? out.data : "", out.len) == out.len);
    }
    CHECK(!rz_detok_finish(&d, &out, NULL));
    CHECK(out.len == len && (len == 0 || memcmp(out.data, text, len) == 0));
    rz_text_free(&out);
}

/* The text that ids must decode to, or false where that is not known: NFC around an added token
 * differs from NFC of the whole, and SentencePiece puts a space behind one. */
static bool expected_text(const rz_tokenizer *tok, const char *text, size_t len, struct rz_buf *out)
{
    const char *name = rz_tokenizer_pre(tok);
    const struct rz_pre *pre = rz_pre_find((rz_slice){name, strlen(name)});
    if (pre && pre->nfc) {
        CHECK(!rz_nfc_append(text, len, out, NULL));
        return !memchr(text, '<', len) && !memmem(text, len, "abba", 4);
    }
    rz_buf_add(out, text, len);
    return pre || (!memchr(text, '<', len) && !memmem(text, len, "\xE2\x96\x81", 3));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    make_models();
    if (size < 2 || data[0] >= N_MODELS || !models[data[0]].tok)
        return 0;
    const rz_tokenizer *tok = models[data[0]].tok;
    unsigned flags = data[1] & 3;
    const char *text = (const char *)data + 2;
    size_t len = size - 2;
    rz_ids ids = {0}, again = {0};
    rz_status status = rz_tokenizer_encode(tok, text, len, flags, &ids, NULL);
    CHECK((status == RZ_OK) == (rz_utf8_valid(text, len) == len));
    if (!status) {
        for (size_t i = 0; i < ids.len; i++)
            CHECK(ids.data[i] >= 0 && (uint32_t)ids.data[i] < rz_tokenizer_n_vocab(tok));
        CHECK(!rz_tokenizer_encode(tok, text, len, flags, &again, NULL));
        CHECK(again.len == ids.len &&
              (ids.len == 0 || memcmp(ids.data, again.data, ids.len * sizeof *ids.data) == 0));
        struct rz_buf expected;
        rz_buf_init(&expected, SIZE_MAX);
        bool known = expected_text(tok, text, len, &expected);
        if (known && !(flags & RZ_ENCODE_BOS_EOS))
            check_decoded(tok, &ids, expected.data, expected.len);
        rz_buf_fini(&expected);
    }
    rz_ids_free(&ids);
    rz_ids_free(&again);
    return 0;
}
