/* select.c - models among the files of a repository: GGUF files by stem with all their parts,
 * SafeTensors with the files that a Hugging Face directory needs, .apr files. A set of parts of
 * which one is missing is no model. */
#include "hub/select.h"

#include "base/buf.h"
#include "base/fail.h"
#include "hub/quant_label.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    SPLIT_SUFFIX = 15, /* "-00001-of-00002" */
    MAX_CHOICES = 24   /* named in a sentence */
};

/* One weight file: its name without split suffix and extension, and which part it is. */
struct part {
    size_t index;
    const char *name;
    size_t stem;
    unsigned i, n; /* part i of n, from 1; a file that is not split: 1 of 1, is_split false */
    bool is_split;
};

static bool five_digits(const char *text, unsigned *value)
{
    *value = 0;
    for (int i = 0; i < 5; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *value = *value * 10 + (unsigned)(text[i] - '0');
    }
    return true;
}

/* False if the name does not end in extension. */
static bool parse_part(struct part *p, const char *name, const char *extension)
{
    size_t len = strlen(name), n = strlen(extension);
    if (len <= n || strcasecmp(name + len - n, extension) != 0)
        return false;
    *p = (struct part){.name = name, .stem = len - n, .i = 1, .n = 1};
    if (p->stem <= SPLIT_SUFFIX)
        return true;
    const char *split = name + p->stem - SPLIT_SUFFIX;
    unsigned i, of;
    if (split[0] == '-' && five_digits(split + 1, &i) && !memcmp(split + 6, "-of-", 4) &&
        five_digits(split + 10, &of) && i >= 1 && i <= of) {
        p->stem -= SPLIT_SUFFIX;
        p->i = i;
        p->n = of;
        p->is_split = true;
    }
    return true;
}

static int by_stem(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    size_t n = x->stem < y->stem ? x->stem : y->stem;
    int order = memcmp(x->name, y->name, n);
    if (order)
        return order;
    if (x->stem != y->stem)
        return x->stem < y->stem ? -1 : 1;
    if (x->is_split != y->is_split)
        return x->is_split ? 1 : -1;
    if (x->n != y->n)
        return x->n < y->n ? -1 : 1;
    return x->i < y->i ? -1 : x->i > y->i;
}

static bool has_word(const char *name, size_t len, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= len; i++)
        if (!strncasecmp(name + i, word, n))
            return true;
    return false;
}

static rz_status add_variant(struct rz_variants *v, const struct rz_variant *variant, rz_error *err)
{
    struct rz_variant *items = realloc(v->items, (v->n + 1) * sizeof *items);
    if (!items)
        return rz_fail_nomem(err, (v->n + 1) * sizeof *items, "a list of models");
    v->items = items;
    v->items[v->n++] = *variant;
    return RZ_OK;
}

static rz_status add_file(struct rz_variant *v, size_t index, rz_error *err)
{
    size_t *files = realloc(v->files, (v->n + 1) * sizeof *files);
    if (!files)
        return rz_fail_nomem(err, (v->n + 1) * sizeof *files, "a list of files");
    v->files = files;
    v->files[v->n++] = index;
    return RZ_OK;
}

/* What a Hugging Face directory holds besides the weights, as far as apr reads it. */
static rz_status add_companions(struct rz_variant *v, const struct rz_listing *l,
                                const struct part *p, rz_error *err)
{
    static const char *const names[] = {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
        "merges.txt",
        "added_tokens.json",
        "special_tokens_map.json",
        "generation_config.json",
        "chat_template.jinja",
        "chat_template.json",
    };
    size_t folder = p->stem;
    while (folder > 0 && p->name[folder - 1] != '/')
        folder--;
    char name[2 * RZ_HUB_FILE_MAX];
    if (p->is_split) {
        snprintf(name, sizeof name, "%.*s.safetensors.index.json", (int)p->stem, p->name);
        size_t index = rz_listing_find(l, name);
        if (index != SIZE_MAX)
            RZ_TRY(add_file(v, index, err));
    }
    for (size_t i = 0; i < RZ_ARRAY_LEN(names); i++) {
        snprintf(name, sizeof name, "%.*s%s", (int)folder, p->name, names[i]);
        size_t index = rz_listing_find(l, name);
        if (index != SIZE_MAX)
            RZ_TRY(add_file(v, index, err));
    }
    return RZ_OK;
}

/* True for weights that a Hugging Face directory is opened by: "model", in a folder with its
 * configuration. Others (adapters, "consolidated") are reached by name only. */
static bool is_hf_model(const struct rz_listing *l, const struct part *p)
{
    size_t folder = p->stem;
    while (folder > 0 && p->name[folder - 1] != '/')
        folder--;
    char config[2 * RZ_HUB_FILE_MAX];
    snprintf(config, sizeof config, "%.*sconfig.json", (int)folder, p->name);
    return p->stem - folder == 5 && !memcmp(p->name + folder, "model", 5) &&
           rz_listing_find(l, config) != SIZE_MAX;
}

/* parts[0..n): all parts of one stem and number. */
static rz_status add_group(struct rz_variants *v, const struct rz_listing *l,
                           const struct part *parts, size_t n, rz_hub_format format, rz_error *err)
{
    const struct part *p = parts;
    if (n != p->n || (format == RZ_HUB_SAFETENSORS && !is_hf_model(l, p)))
        return RZ_OK;
    struct rz_variant variant = {.format = format};
    if (format != RZ_HUB_SAFETENSORS)
        variant.quant = rz_quant_label(p->name, p->stem);
    variant.auxiliary = format == RZ_HUB_GGUF && (has_word(p->name, p->stem, "mmproj") ||
                                                  has_word(p->name, p->stem, "imatrix"));
    rz_status status = RZ_OK;
    for (size_t i = 0; i < n && !status; i++)
        status = add_file(&variant, parts[i].index, err);
    if (!status && format == RZ_HUB_SAFETENSORS)
        status = add_companions(&variant, l, p, err);
    if (!status)
        status = add_variant(v, &variant, err);
    if (status)
        free(variant.files);
    return status;
}

static bool same_group(const struct part *a, const struct part *b)
{
    return a->stem == b->stem && a->n == b->n && a->is_split == b->is_split &&
           !memcmp(a->name, b->name, a->stem);
}

static rz_status find_format(struct rz_variants *v, const struct rz_listing *l,
                             rz_hub_format format, const char *extension, rz_error *err)
{
    struct part *parts = calloc(l->n ? l->n : 1, sizeof *parts);
    if (!parts)
        return rz_fail_nomem(err, l->n * sizeof *parts, "a list of files");
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (parse_part(&parts[n], l->items[i].name, extension))
            parts[n++].index = i;
    }
    if (n)
        qsort(parts, n, sizeof *parts, by_stem);
    rz_status status = RZ_OK;
    for (size_t i = 0, end; i < n && !status; i = end) {
        for (end = i + 1; end < n && same_group(&parts[i], &parts[end]);)
            end++;
        status = add_group(v, l, parts + i, end - i, format, err);
    }
    free(parts);
    return status;
}

rz_status rz_variants_find(struct rz_variants *v, const struct rz_listing *l, rz_error *err)
{
    *v = (struct rz_variants){0};
    rz_status status = find_format(v, l, RZ_HUB_GGUF, ".gguf", err);
    if (!status)
        status = find_format(v, l, RZ_HUB_SAFETENSORS, ".safetensors", err);
    if (!status)
        status = find_format(v, l, RZ_HUB_APR, ".apr", err);
    if (status)
        rz_variants_fini(v);
    return status;
}

void rz_variants_fini(struct rz_variants *v)
{
    for (size_t i = 0; i < v->n; i++)
        free(v->items[i].files);
    free(v->items);
    *v = (struct rz_variants){0};
}

/* "a, b, c and 4 more": the names are added one by one, then the rest. */
static void add_name(struct rz_buf *b, size_t i, const char *name)
{
    if (i < MAX_CHOICES)
        rz_buf_printf(b, "%s%s", i ? ", " : "", name);
}

static void add_rest(struct rz_buf *b, size_t n)
{
    if (n > MAX_CHOICES)
        rz_buf_printf(b, " and %zu more", n - MAX_CHOICES);
}

static rz_status no_such_file(const struct rz_listing *l, const rz_hub_ref *ref, rz_error *err)
{
    struct rz_buf names;
    rz_buf_init(&names, RZ_ERROR_TEXT_MAX);
    for (size_t i = 0; i < l->n; i++)
        add_name(&names, i, l->items[i].name);
    add_rest(&names, l->n);
    rz_status status = rz_fail(err, RZ_EREMOTE, "%s has no file %s; it has: %s", ref->repo,
                               ref->file, names.data ? names.data : "none");
    rz_buf_fini(&names);
    return status;
}

static rz_status choose_file(const struct rz_variant **out, struct rz_variants *v,
                             const struct rz_listing *l, const rz_hub_ref *ref, rz_error *err)
{
    size_t index = rz_listing_find(l, ref->file);
    if (index == SIZE_MAX)
        return no_such_file(l, ref, err);
    for (size_t i = 0; i < v->n; i++) {
        struct rz_variant *variant = &v->items[i];
        /* A configuration belongs to a model, but who names it wants only that. */
        size_t n_weights = variant->format == RZ_HUB_SAFETENSORS ? 0 : variant->n;
        const char *dot = strrchr(ref->file, '.');
        if (variant->format == RZ_HUB_SAFETENSORS && dot && !strcasecmp(dot, ".safetensors"))
            n_weights = variant->n;
        for (size_t f = 0; f < n_weights; f++)
            if (variant->files[f] == index) {
                *out = variant;
                return RZ_OK;
            }
    }
    struct rz_variant single = {.format = RZ_HUB_FILE};
    RZ_TRY(add_file(&single, index, err));
    rz_status status = add_variant(v, &single, err);
    if (status)
        free(single.files);
    else
        *out = &v->items[v->n - 1];
    return status;
}

/* Whether a is to be preferred to b where both have the wanted quantization: in the repository's
 * root before in a folder, whole before in parts. 0: neither. */
static int prefer(const struct rz_listing *l, const struct rz_variant *a,
                  const struct rz_variant *b)
{
    bool a_deep = strchr(l->items[a->files[0]].name, '/') != NULL;
    bool b_deep = strchr(l->items[b->files[0]].name, '/') != NULL;
    if (a_deep != b_deep)
        return a_deep ? -1 : 1;
    if ((a->n == 1) != (b->n == 1))
        return a->n == 1 ? 1 : -1;
    return 0;
}

static rz_status none_fits(const struct rz_variants *v, const struct rz_listing *l,
                           const rz_hub_ref *ref, rz_error *err)
{
    struct rz_buf names;
    rz_buf_init(&names, RZ_ERROR_TEXT_MAX);
    size_t n = 0;
    for (size_t i = 0; i < v->n; i++)
        if (v->items[i].quant && !v->items[i].auxiliary)
            add_name(&names, n++, v->items[i].quant);
    add_rest(&names, n);
    rz_status status;
    if (n)
        status =
            rz_fail(err, RZ_EREMOTE, "%s has no %s; it has: %s", ref->repo, ref->quant, names.data);
    else if (*ref->quant)
        status = rz_fail(err, RZ_EREMOTE, "%s has no quantized files to choose %s from", ref->repo,
                         ref->quant);
    else if (l->n_refused)
        status = rz_fail(err, RZ_ELOAD,
                         "%s has no model that apr can run; %zu of its files have names that are "
                         "not taken as paths",
                         ref->repo, l->n_refused);
    else
        status =
            rz_fail(err, RZ_ELOAD,
                    "%s has no model that apr can run: no GGUF file, no model.safetensors with "
                    "config.json, no .apr file (it lists %zu files)",
                    ref->repo, l->n);
    rz_buf_fini(&names);
    return status;
}

static rz_status several_fit(const struct rz_variants *v, const struct rz_listing *l,
                             const rz_hub_ref *ref, const struct rz_variant *best, rz_error *err)
{
    struct rz_buf names;
    rz_buf_init(&names, RZ_ERROR_TEXT_MAX);
    size_t n = 0;
    for (size_t i = 0; i < v->n; i++) {
        const struct rz_variant *x = &v->items[i];
        if (!x->auxiliary && x->format == best->format && x->quant == best->quant)
            add_name(&names, n++, l->items[x->files[0]].name);
    }
    add_rest(&names, n);
    rz_status status = rz_fail(
        err, RZ_EUSAGE, "%s has several models that could be meant: %s; name one: hf://%s/%s",
        ref->repo, names.data, ref->repo, l->items[best->files[0]].name);
    rz_buf_fini(&names);
    return status;
}

/* Less is better: GGUF by quantization, then SafeTensors, then .apr. */
static size_t rank(const struct rz_variant *v)
{
    static const size_t base[] = {
        [RZ_HUB_GGUF] = 0, [RZ_HUB_SAFETENSORS] = 1000, [RZ_HUB_APR] = 2000, [RZ_HUB_FILE] = 3000};
    return base[v->format] + (v->format == RZ_HUB_GGUF ? rz_quant_rank(v->quant) : 0);
}

rz_status rz_variant_choose(const struct rz_variant **out, struct rz_variants *v,
                            const struct rz_listing *l, const rz_hub_ref *ref, rz_error *err)
{
    if (*ref->file)
        return choose_file(out, v, l, ref, err);
    const struct rz_variant *best = NULL;
    bool tie = false;
    for (size_t i = 0; i < v->n; i++) {
        const struct rz_variant *x = &v->items[i];
        if (x->auxiliary || (*ref->quant && (!x->quant || strcmp(x->quant, ref->quant) != 0)))
            continue;
        int order = !best ? 1 : rank(x) < rank(best) ? 1 : rank(x) > rank(best) ? -1 : 0;
        if (!order)
            order = prefer(l, x, best);
        tie = order == 0 || (order < 0 && tie);
        if (order > 0)
            best = x;
    }
    if (!best)
        return none_fits(v, l, ref, err);
    if (tie)
        return several_fit(v, l, ref, best, err);
    *out = best;
    return RZ_OK;
}
