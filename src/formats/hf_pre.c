/* hf_pre.c - which of the known pre-tokenizers a tokenizer.json describes.
 *
 * tokenizer.json says in regular expressions what tokenizer.ggml.pre says by a name. They are
 * compared letter by letter: one that is not in the table is refused and quoted, since a pattern
 * that is almost the same gives ids that are almost right.
 * Source: the tokenizer.json files of the models that tokenizer/pretok.c names. */
#include "base/fail.h"
#include "formats/hf.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_STEPS = 6,
    REGEX_SHOWN = 400
};

/* Steps that are no regular expression; they begin with a byte that no pattern begins with. */
#define DIGITS     "\001digits"     /* each digit by itself */
#define BYTE_LEVEL "\001byte-level" /* with GPT-2's own pattern */

#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES      "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CL100K(digits)                                                                             \
    CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define O200K(suffix, digits)                                                                      \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" suffix "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER  \
    "*" suffix "|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES
#define QWEN35                                                                                     \
    CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}"                                    \
                "| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACES
#define DEEPSEEK_V3                                                                                \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?"             \
    "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"

static const struct known {
    const char *name;
    const char *steps[MAX_STEPS];
    bool nfc, ignore_merges;
} known[] = {
    {"qwen2", {CL100K("\\p{N}")}, true, false},
    {"qwen35", {QWEN35}, true, false},
    {"llama-bpe", {CL100K("\\p{N}{1,3}")}, false, true},
    {"smaug-bpe", {CL100K("\\p{N}{1,3}")}, false, false},
    {"gpt-2", {BYTE_LEVEL}, false, false},
    {"smollm", {DIGITS, BYTE_LEVEL}, false, false},
    {"tekken", {O200K("", "\\p{N}")}, false, true},
    {"gpt-4o", {O200K(CONTRACTION "?", "\\p{N}{1,3}")}, false, false},
    {"deepseek-coder",
     {"[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-퟿]+", DIGITS},
     false,
     false},
    {"deepseek-v3", {"\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK_V3}, false, false},
};

struct steps {
    const char *steps[MAX_STEPS + 1];
    size_t n;
};

static bool type_is(const json_t *step, const char *type)
{
    const char *name = json_string_value(json_object_get(step, "type"));
    return name && !strcmp(name, type);
}

static rz_status refuse(struct rz_hf *h, const char *what, const char *detail)
{
    return rz_hf_bad(h, RZ_ELOAD, RZ_HF_TOKENIZER, "%s is not supported: %.*s", what, REGEX_SHOWN,
                     detail);
}

static rz_status refuse_json(struct rz_hf *h, const char *what, const json_t *value)
{
    char text[REGEX_SHOWN + 1];
    size_t n = json_dumpb(value, text, REGEX_SHOWN, JSON_ENCODE_ANY | JSON_COMPACT);
    text[n < REGEX_SHOWN ? n : REGEX_SHOWN] = '\0';
    return refuse(h, what, text);
}

/* {"type": "Split", "pattern": {"Regex": ...}, "behavior": "Isolated", "invert": false} */
static rz_status add_split(struct rz_hf *h, const json_t *step, const char **out)
{
    const char *regex =
        json_string_value(json_object_get(json_object_get(step, "pattern"), "Regex"));
    const char *behavior = json_string_value(json_object_get(step, "behavior"));
    bool invert = json_is_true(json_object_get(step, "invert"));
    if (!regex || !behavior)
        return refuse_json(h, "this Split", step);
    /* To keep what matches and to cut out what does not are the same where everything matches. */
    bool isolated = !strcmp(behavior, "Isolated") && !invert;
    bool kept = !strcmp(behavior, "Removed") && invert;
    if (!isolated && !kept)
        return refuse_json(h, "this Split", step);
    *out = regex;
    return RZ_OK;
}

static rz_status add_step(struct rz_hf *h, const json_t *step, struct steps *s)
{
    const char *text = "";
    if (type_is(step, "Split")) {
        RZ_TRY(add_split(h, step, &text));
    } else if (type_is(step, "Digits")) {
        if (!json_is_true(json_object_get(step, "individual_digits")))
            return refuse_json(h, "this pre-tokenizer", step);
        text = DIGITS;
    } else if (type_is(step, "ByteLevel")) {
        if (!json_is_false(json_object_get(step, "add_prefix_space")))
            return refuse_json(h, "a prefix space", step);
        if (json_is_false(json_object_get(step, "use_regex")))
            return RZ_OK;
        text = BYTE_LEVEL;
    } else {
        return refuse_json(h, "this pre-tokenizer", step);
    }
    if (s->n == MAX_STEPS)
        return refuse_json(h, "a pre-tokenizer of so many steps", step);
    s->steps[s->n++] = text;
    return RZ_OK;
}

static rz_status read_steps(struct rz_hf *h, const json_t *pre, struct steps *s)
{
    if (!type_is(pre, "Sequence"))
        return add_step(h, pre, s);
    const json_t *list = json_object_get(pre, "pretokenizers");
    for (size_t i = 0; i < json_array_size(list); i++)
        RZ_TRY(add_step(h, json_array_get(list, i), s));
    return RZ_OK;
}

/* None, NFC, or a sequence of these. */
static rz_status read_normalizer(struct rz_hf *h, const json_t *normalizer, bool *nfc)
{
    *nfc = false;
    if (!normalizer || json_is_null(normalizer))
        return RZ_OK;
    const json_t *list = json_object_get(normalizer, "normalizers");
    if (!type_is(normalizer, "Sequence")) {
        *nfc = type_is(normalizer, "NFC");
        return *nfc ? RZ_OK : refuse_json(h, "this normalizer", normalizer);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!type_is(json_array_get(list, i), "NFC"))
            return refuse_json(h, "this normalizer", normalizer);
        *nfc = true;
    }
    return RZ_OK;
}

static bool same_steps(const struct known *k, const struct steps *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (!k->steps[i] || strcmp(k->steps[i], s->steps[i]) != 0)
            return false;
    return s->n == MAX_STEPS || !k->steps[s->n];
}

rz_status rz_hf_find_pre(struct rz_hf *h, const json_t *pre_tokenizer, const json_t *normalizer,
                         bool ignore_merges, const char **name)
{
    struct steps s = {.n = 0};
    bool nfc = false, cuts_alike = false;
    if (!pre_tokenizer || json_is_null(pre_tokenizer))
        return refuse(h, "a tokenizer without pre_tokenizer", "null");
    RZ_TRY(read_normalizer(h, normalizer, &nfc));
    RZ_TRY(read_steps(h, pre_tokenizer, &s));
    for (size_t i = 0; i < RZ_ARRAY_LEN(known); i++) {
        if (!same_steps(&known[i], &s))
            continue;
        cuts_alike = true;
        if (known[i].nfc == nfc && known[i].ignore_merges == ignore_merges) {
            *name = known[i].name;
            return RZ_OK;
        }
    }
    if (cuts_alike)
        return rz_hf_bad(h, RZ_ELOAD, RZ_HF_TOKENIZER,
                         "the pattern is a known one, but not with %s normalization and "
                         "ignore_merges %s",
                         nfc ? "NFC" : "no", ignore_merges ? "true" : "false");
    for (size_t i = 0; i < s.n; i++)
        if (s.steps[i][0] != '\001')
            return refuse(h, "the pre-tokenizer's pattern", s.steps[i]);
    return refuse_json(h, "this pre-tokenizer", pre_tokenizer);
}

/* ---- the way back ---- */

/* Names that GGUF files have for the same patterns (tokenizer/pretok.c). */
static const struct {
    const char *alias, *name;
} aliases[] = {
    {"llama3", "llama-bpe"},  {"llama-v3", "llama-bpe"},
    {"falcon3", "llama-bpe"}, {"deepseek-r1-qwen", "qwen2"},
    {"llama4", "gpt-4o"},     {"codeshell", "smollm"},
    {"minerva-7b", "smollm"}, {"refact", "smollm"},
    {"starcoder", "smollm"},  {"gpt2", "gpt-2"},
};

static json_t *step_json(const char *step)
{
    if (!strcmp(step, DIGITS))
        return json_pack("{sssb}", "type", "Digits", "individual_digits", 1);
    if (!strcmp(step, BYTE_LEVEL))
        return json_pack("{sssbsbsb}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets",
                         1, "use_regex", 1);
    return json_pack("{sss{ss}sssb}", "type", "Split", "pattern", "Regex", step, "behavior",
                     "Isolated", "invert", 0);
}

json_t *rz_hf_pre_json(rz_slice name, bool *nfc, bool *ignore_merges)
{
    const struct known *found = NULL;
    for (size_t i = 0; i < RZ_ARRAY_LEN(aliases); i++)
        if (strlen(aliases[i].alias) == name.len && !memcmp(aliases[i].alias, name.data, name.len))
            name = (rz_slice){.data = aliases[i].name, .len = strlen(aliases[i].name)};
    for (size_t i = 0; i < RZ_ARRAY_LEN(known); i++)
        if (strlen(known[i].name) == name.len && !memcmp(known[i].name, name.data, name.len))
            found = &known[i];
    if (!found)
        return NULL;
    *nfc = found->nfc;
    *ignore_merges = found->ignore_merges;
    json_t *steps = json_array();
    bool has_bytes = false;
    for (size_t i = 0; i < MAX_STEPS && found->steps[i]; i++) {
        has_bytes = has_bytes || !strcmp(found->steps[i], BYTE_LEVEL);
        json_array_append_new(steps, step_json(found->steps[i]));
    }
    if (!has_bytes)
        json_array_append_new(steps,
                              json_pack("{sssbsbsb}", "type", "ByteLevel", "add_prefix_space", 0,
                                        "trim_offsets", 0, "use_regex", 0));
    return json_pack("{ssso}", "type", "Sequence", "pretokenizers", steps);
}
