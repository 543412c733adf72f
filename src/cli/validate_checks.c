/* validate_checks.c - the checks of `apr validate`. The gates on a tensor's content are those of
 * the F-DATA-QUALITY series; what a tensor is for decides whether it fails or is only odd. */
#include "cli/validate_checks.h"

#include "base/fail.h"
#include "cli/tensor_container.h"

#include <inttypes.h>
#include <realizar/model.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_LAYERS = 65536
};
static const double min_l2 = 1e-6, max_zeros = 0.8, max_embedding_zeros = 0.5,
                    max_embedding_dead = 0.1;

const char *cli_verdict_name(enum cli_verdict v)
{
    static const char *const names[] = {"PASS", "N/A", "SKIP", "WARN", "FAIL"};
    return names[v];
}

const char *cli_gate_name(enum cli_gate gate)
{
    static const char *const names[CLI_N_GATES] = {"nan", "inf",       "all_zero", "constant",
                                                   "l2",  "dead_rows", "density"};
    return names[gate];
}

const char *cli_structure_name(enum cli_structure_check check)
{
    static const char *const names[CLI_N_STRUCTURE_CHECKS] = {
        "layers", "vocabulary", "width", "head", "special_ids", "binding", "checksum", "packed"};
    return names[check];
}

static void __attribute__((format(printf, 3, 4)))
find(struct cli_finding *out, enum cli_verdict verdict, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    out->verdict = verdict;
    vsnprintf(out->text, sizeof out->text, format, args);
    va_end(args);
}

/* ---- gates ---- */

static bool is_table(const rz_tensor *t)
{
    return !strcmp(t->name, "token_embd.weight") || !strcmp(t->name, "output.weight");
}

static bool is_bias(const rz_tensor *t)
{
    size_t len = strlen(t->name);
    return len >= 5 && !strcmp(t->name + len - 5, ".bias");
}

static void check_dead_rows(const rz_tensor *t, const rz_tensor_stats *s, struct cli_finding *out)
{
    if (t->n_dims < 2 || s->n_dead_rows == 0 || s->n_zeros == s->count)
        return;
    /* Embeddings are padded to round sizes with ids that no text has. */
    bool padding = is_table(t) && (double)s->n_dead_rows <= max_embedding_dead * (double)s->n_rows;
    find(out, padding ? CLI_WARN : CLI_FAIL,
         "%" PRIu64 " of %" PRIu64 " rows are all zero, the first is row %" PRIu64, s->n_dead_rows,
         s->n_rows, s->first_dead_row);
}

static void check_density(const rz_tensor *t, const rz_tensor_stats *s, struct cli_finding *out)
{
    double limit = is_table(t) ? max_embedding_zeros : max_zeros;
    if (t->n_dims >= 2 && s->n_zeros < s->count && s->zero_fraction > limit)
        find(out, CLI_FAIL, "%.1f %% of the elements are zero, more than %.0f %%",
             100 * s->zero_fraction, 100 * limit);
}

void cli_check_gate(enum cli_gate gate, const rz_tensor *t, const rz_tensor_stats *s,
                    struct cli_finding *out)
{
    *out = (struct cli_finding){.verdict = CLI_PASS};
    bool zero = s->n_zeros == s->count && s->count > 0;
    bool matrix = t->n_dims >= 2;
    switch (gate) {
    case CLI_GATE_NAN:
        if (s->n_nan)
            find(out, CLI_FAIL, "%" PRIu64 " NaN, the first is element %" PRIu64, s->n_nan,
                 s->first_nan);
        break;
    case CLI_GATE_INF:
        if (s->n_inf)
            find(out, CLI_FAIL, "%" PRIu64 " infinite, the first is element %" PRIu64, s->n_inf,
                 s->first_inf);
        break;
    case CLI_GATE_ALL_ZERO:
        if (zero)
            find(out, is_bias(t) ? CLI_WARN : CLI_FAIL, "all %" PRIu64 " elements are zero",
                 s->count);
        break;
    case CLI_GATE_CONSTANT:
        if (s->constant && !zero && s->count > 1)
            find(out, matrix ? CLI_FAIL : CLI_WARN, "all %" PRIu64 " elements are %.9g", s->count,
                 s->min);
        break;
    case CLI_GATE_L2:
        if (!zero && s->n_finite > 0 && s->l2 < min_l2)
            find(out, matrix ? CLI_FAIL : CLI_WARN, "the L2 norm is %.3g, below %.0e", s->l2,
                 min_l2);
        break;
    case CLI_GATE_DEAD_ROWS:
        check_dead_rows(t, s, out);
        break;
    case CLI_GATE_DENSITY:
        check_density(t, s, out);
        break;
    case CLI_N_GATES:
        break;
    }
}

/* ---- the file as a whole ---- */

/* {architecture}.name as a number; false if there is none. */
static bool arch_u32(const rz_file *file, const char *name, uint32_t *value)
{
    rz_slice arch;
    bool found = false;
    if (rz_file_get_string(file, "general.architecture", &arch, &found, NULL) || !found)
        return false;
    char key[256];
    snprintf(key, sizeof key, "%.*s.%s", arch.len < 128 ? (int)arch.len : 128, arch.data, name);
    found = false;
    return !rz_file_get_u32(file, key, value, &found, NULL) && found;
}

/* The block number of "blk.12.attn_q.weight"; false for other names. */
static bool block_of(const char *name, uint32_t *block)
{
    if (strncmp(name, "blk.", 4) != 0)
        return false;
    const char *p = name + 4;
    uint32_t n = 0;
    while (*p >= '0' && *p <= '9' && n < MAX_LAYERS)
        n = n * 10 + (uint32_t)(*p++ - '0');
    *block = n;
    return p > name + 4 && *p == '.' && n < MAX_LAYERS;
}

static void check_layers(const rz_file *file, struct cli_finding *out)
{
    static const uint32_t none = UINT32_MAX;
    uint32_t declared, block, highest = none;
    bool has_declared = arch_u32(file, "block_count", &declared);
    uint8_t *seen = calloc(MAX_LAYERS, 1);
    for (size_t i = 0; seen && i < rz_file_n_tensors(file); i++) {
        if (block_of(rz_file_tensor_at(file, i)->name, &block)) {
            seen[block] = 1;
            highest = highest == none || block > highest ? block : highest;
        }
    }
    uint32_t n = highest == none ? 0 : highest + 1, missing = none;
    for (uint32_t i = n; seen && i-- > 0;)
        missing = seen[i] ? missing : i;
    if (!seen)
        find(out, CLI_SKIP, "no memory to count layers");
    else if (n == 0 && !has_declared)
        find(out, CLI_SKIP, "no tensor is called blk.N and no block_count is declared");
    else if (missing != none)
        find(out, CLI_FAIL, "there are tensors of layer %u but none of layer %u", highest, missing);
    else if (!has_declared)
        find(out, CLI_FAIL, "tensors of %u layers, and the metadata lacks block_count", n);
    else if (n != declared)
        find(out, CLI_FAIL, "tensors of %u layers, the metadata declares %u", n, declared);
    else
        find(out, CLI_PASS, "%u layers, as declared", n);
    free(seen);
}

static const rz_meta *tokens_of(const rz_file *file)
{
    const rz_meta *tokens = rz_file_meta(file, "tokenizer.ggml.tokens");
    return tokens && tokens->type == RZ_META_ARRAY ? tokens : NULL;
}

static const rz_tensor *embedding_of(const rz_file *file, struct cli_finding *out)
{
    const rz_tensor *t = rz_file_tensor(file, "token_embd.weight");
    if (!t)
        find(out, CLI_SKIP, "there is no token_embd.weight");
    return t;
}

static void check_vocabulary(const rz_file *file, struct cli_finding *out)
{
    const rz_tensor *t = embedding_of(file, out);
    const rz_meta *tokens = tokens_of(file);
    if (!t)
        return;
    uint32_t declared;
    uint64_t rows = t->shape[0];
    bool has_declared = arch_u32(file, "vocab_size", &declared);
    if (has_declared && declared != rows)
        find(out, CLI_FAIL, "the embedding has %" PRIu64 " rows, vocab_size is %u", rows, declared);
    else if (tokens && tokens->count != rows)
        find(out, CLI_FAIL, "the embedding has %" PRIu64 " rows, the tokenizer %" PRIu64 " tokens",
             rows, tokens->count);
    else if (!tokens && !has_declared)
        find(out, CLI_SKIP, "the file has neither tokens nor vocab_size");
    else
        find(out, CLI_PASS, "%" PRIu64 " tokens, a row of the embedding each", rows);
}

static void check_width(const rz_file *file, struct cli_finding *out)
{
    const rz_tensor *t = embedding_of(file, out);
    uint32_t declared;
    if (!t)
        return;
    if (!arch_u32(file, "embedding_length", &declared))
        find(out, CLI_FAIL, "the metadata lacks embedding_length");
    else if (rz_tensor_cols(t) != declared)
        find(out, CLI_FAIL, "the embedding is %" PRIu64 " wide, embedding_length is %u",
             rz_tensor_cols(t), declared);
    else
        find(out, CLI_PASS, "%u wide, as declared", declared);
}

static void check_head(const rz_file *file, struct cli_finding *out)
{
    const rz_tensor *t = embedding_of(file, out);
    const rz_tensor *head = rz_file_tensor(file, "output.weight");
    if (!t)
        return;
    if (!head)
        find(out, CLI_NA, "no output.weight: the embedding is the head");
    else if (!rz_tensor_same_shape(t, head))
        find(out, CLI_FAIL,
             "output.weight is %" PRIu64 " x %" PRIu64 ", token_embd.weight %" PRIu64 " x %" PRIu64,
             rz_tensor_rows(head), rz_tensor_cols(head), rz_tensor_rows(t), rz_tensor_cols(t));
    else
        find(out, CLI_PASS, "the head has the embedding's shape");
}

static void check_special_ids(const rz_file *file, struct cli_finding *out)
{
    static const char *const keys[] = {
        "tokenizer.ggml.bos_token_id",     "tokenizer.ggml.eos_token_id",
        "tokenizer.ggml.unknown_token_id", "tokenizer.ggml.padding_token_id",
        "tokenizer.ggml.eot_token_id",     "tokenizer.ggml.eom_token_id"};
    const rz_meta *tokens = tokens_of(file);
    uint32_t n = 0, id = 0;
    for (size_t i = 0; tokens && i < RZ_ARRAY_LEN(keys); i++) {
        bool found = false;
        if (rz_file_get_u32(file, keys[i], &id, &found, NULL)) {
            find(out, CLI_FAIL, "%s is not a token id", keys[i]);
            return;
        }
        if (found && id >= tokens->count) {
            find(out, CLI_FAIL, "%s is %u, there are %" PRIu64 " tokens", keys[i], id,
                 tokens->count);
            return;
        }
        n += found;
    }
    if (n == 0)
        find(out, CLI_NA, tokens ? "the metadata names no special token" : "no tokenizer");
    else
        find(out, CLI_PASS, "%u special tokens, all in the vocabulary", n);
}

static void check_binding(const rz_file *file, struct cli_finding *out)
{
    rz_model_options options = rz_model_options_default();
    options.n_threads = 1;
    options.only_look = true;
    rz_model *model = NULL;
    rz_error err = {0};
    rz_status status = rz_model_open(&model, rz_file_path(file), &options, &err);
    if (!status)
        find(out, CLI_PASS, "every tensor of architecture %s is there in its shape, and no other",
             rz_model_get_info(model)->architecture);
    else
        find(out, status == RZ_ELOAD ? CLI_SKIP : CLI_FAIL, "%s", err.text);
    rz_model_close(&model);
}

static void check_checksum(const rz_file *file, struct cli_finding *out)
{
    struct rz_map map;
    rz_error err = {0};
    rz_status status = rz_map_open(&map, rz_file_path(file), &err);
    if (status == RZ_ENOTFOUND) {
        find(out, CLI_NA, "a directory has no checksum");
        return;
    }
    if (status) {
        find(out, CLI_FAIL, "%s", err.text);
        return;
    }
    struct cli_checksum sums[CLI_MAX_CHECKSUMS];
    size_t n = cli_container_checksums(map.data, map.len, sums);
    find(out, n ? CLI_PASS : CLI_NA, n ? "CRC-32 of the %s is right" : "%s files keep no checksum",
         n == 2 ? "header and of the file"
         : n    ? sums[0].what
                : rz_file_format(file));
    const size_t odd = cli_container_odd_bytes(map.data, map.len);
    if (odd)
        find(out, CLI_WARN,
             "the last %zu bytes are neither the end of a section nor a checksum: cut short, or "
             "written without padding",
             odd);
    for (size_t i = 0; i < n; i++) {
        if (sums[i].stored != sums[i].computed) {
            find(out, CLI_FAIL, "CRC-32 of the %s is %08x, the file says %08x", sums[i].what,
                 sums[i].computed, sums[i].stored);
            break;
        }
    }
    rz_map_close(&map);
}

static void check_packed(const rz_file *file, struct cli_finding *out)
{
    size_t n_both;
    const rz_tensor *differs;
    uint64_t row;
    rz_error err = {0};
    if (rz_file_compare_packed(file, &n_both, &differs, &row, &err))
        find(out, CLI_SKIP, "%s", err.text);
    else if (differs)
        find(out, CLI_FAIL, "row %llu of %s has other weights packed than plain",
             (unsigned long long)row, differs->name);
    else if (n_both)
        find(out, CLI_PASS, "%zu matrices have the same weights packed and plain", n_both);
    else
        find(out, CLI_NA, "no matrix is there both packed and plain");
}

void cli_check_structure(enum cli_structure_check check, const rz_file *file,
                         struct cli_finding *out)
{
    static void (*const checks[CLI_N_STRUCTURE_CHECKS])(const rz_file *, struct cli_finding *) = {
        check_layers,      check_vocabulary, check_width,    check_head,
        check_special_ids, check_binding,    check_checksum, check_packed};
    *out = (struct cli_finding){.verdict = CLI_PASS};
    checks[check](file, out);
}
