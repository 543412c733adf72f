/* dotapr_payload.c - the bincode payload of an .apr file of version 1: the model itself.
 *
 * bincode writes a struct's fields one after another without names or lengths, so a payload can be
 * read only by someone who knows the struct; it changed between releases, and no version stands in
 * the file. A payload counts as understood if a known struct takes all its bytes, neither more nor
 * less; the rest is said to be unknown.
 * Source: aprender's structs, as docs/formats.md tells; bincode 1's fixed-width encoding. */
#include "base/checked.h"
#include "base/fail.h"
#include "formats/dotapr_v1.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_FIELDS = 8,
    MAX_TREE_DEPTH = 4096,
    KEY_MAX = 96
};

enum kind {
    END,
    F32,
    U64,
    BOOL,
    OPTIONAL_U64,
    VECTOR,  /* Option<Vector>: data */
    MATRIX,  /* Option<Matrix>: data, rows, columns */
    INDICES, /* Option<Vec<u64>> */
    LISTS,   /* Vec<Vec<u64>> */
    TREE,    /* Option<TreeNode> */
    REGRESSION_TREE,
    TREES /* Vec<DecisionTreeClassifier> */
};

static const char *const model_types[] = {
    [0x01] = "LinearRegression",
    [0x02] = "LogisticRegression",
    [0x03] = "DecisionTree",
    [0x04] = "RandomForest",
    [0x05] = "GradientBoosting",
    [0x06] = "KMeans",
    [0x07] = "PCA",
    [0x08] = "NaiveBayes",
    [0x09] = "KNN",
    [0x0A] = "SVM",
    [0x10] = "NgramLm",
    [0x11] = "Tfidf",
    [0x12] = "CountVectorizer",
    [0x20] = "NeuralSequential",
    [0x21] = "NeuralCustom",
    [0x30] = "ContentRecommender",
    [0x40] = "MixtureOfExperts",
    [0xFF] = "Custom",
};

const char *rz_apr1_model_type(uint16_t code)
{
    return code < RZ_ARRAY_LEN(model_types) ? model_types[code] : NULL;
}

/* Structs by model type; several of one type are tried in turn. */
static const struct layout {
    uint16_t code;
    struct {
        enum kind kind;
        const char *name;
    } fields[MAX_FIELDS + 1];
} layouts[] = {
    {1, {{VECTOR, "coefficients"}, {F32, "intercept"}, {BOOL, "fit_intercept"}}},
    {1,
     {{F32, "alpha"},
      {VECTOR, "coefficients"},
      {F32, "intercept"},
      {BOOL, "fit_intercept"},
      {U64, "max_iter"},
      {F32, "tol"}}}, /* Lasso */
    {1,
     {{F32, "alpha"},
      {F32, "l1_ratio"},
      {VECTOR, "coefficients"},
      {F32, "intercept"},
      {BOOL, "fit_intercept"},
      {U64, "max_iter"},
      {F32, "tol"}}}, /* ElasticNet */
    {2,
     {{VECTOR, "coefficients"},
      {F32, "intercept"},
      {F32, "learning_rate"},
      {U64, "max_iter"},
      {F32, "tol"}}},
    {3, {{TREE, "tree"}, {OPTIONAL_U64, "max_depth"}, {OPTIONAL_U64, "n_features"}}},
    {3,
     {{REGRESSION_TREE, "tree"},
      {OPTIONAL_U64, "max_depth"},
      {U64, "min_samples_split"},
      {U64, "min_samples_leaf"}}},
    {4,
     {{TREES, "trees"},
      {U64, "n_estimators"},
      {OPTIONAL_U64, "max_depth"},
      {OPTIONAL_U64, "random_state"},
      {LISTS, "oob_indices"},
      {MATRIX, "x_train"},
      {INDICES, "y_train"}}},
    {6,
     {{U64, "n_clusters"},
      {U64, "max_iter"},
      {F32, "tol"},
      {OPTIONAL_U64, "random_state"},
      {MATRIX, "centroids"},
      {INDICES, "labels"},
      {F32, "inertia"},
      {U64, "n_iter"}}},
};

struct walk {
    struct rz_apr_meta *m;
    struct rz_apr_bytes b;
    uint64_t at; /* of the payload in the file, 0: unpacked */
    bool emit;   /* false: only whether it fits */
};

/* ---- pieces ---- */

static bool take_tag(struct rz_apr_bytes *b)
{
    uint64_t tag = rz_apr_take_u(b, 1);
    if (tag > 1)
        b->bad = true;
    return tag == 1 && !b->bad;
}

/* A count of items of size bytes each that are there; they are passed. */
static uint64_t take_items(struct rz_apr_bytes *b, size_t size, const uint8_t **items)
{
    uint64_t n = rz_apr_take_u(b, 8);
    if (b->bad || n > (b->len - b->pos) / size) {
        b->bad = true;
        return 0;
    }
    *items = rz_apr_take(b, (size_t)n * size);
    return n;
}

static rz_status put_scalar(struct walk *w, const char *key, rz_meta_type type, const void *bytes)
{
    const struct rz_apr_put put = {.type = type,
                                   .elem_type = type,
                                   .count = 1,
                                   .bytes = bytes,
                                   .n_bytes = rz_meta_elem_bytes(type)};
    return rz_apr_put(w->m, (rz_slice){.data = key, .len = strlen(key)}, &put);
}

static rz_status add_tensor(struct walk *w, const char *name, const uint8_t *items, uint64_t rows,
                            uint64_t cols)
{
    bool matrix = rows != 0;
    rz_tensor t = {.name = name,
                   .dtype = RZ_F32,
                   .n_dims = matrix ? 2 : 1,
                   .shape = {matrix ? rows : cols, matrix ? cols : 1, 1, 1},
                   .data = items,
                   .n_bytes = (size_t)((matrix ? rows : 1) * cols * 4),
                   .file_offset = w->at ? w->at + (uint64_t)(items - w->b.data) : 0};
    if (t.n_bytes == 0)
        return RZ_OK;
    /* The names are few, fixed and different. */
    enum rz_add_result added = rz_file_add_tensor(w->m->r->file, &t);
    RZ_ASSERT(added == RZ_ADDED || added == RZ_ADD_NOMEM);
    return added == RZ_ADDED ? RZ_OK : rz_fail_nomem(w->m->r->err, sizeof t, "tensors");
}

static rz_status take_vector(struct walk *w, const char *name)
{
    const uint8_t *items = NULL;
    if (!take_tag(&w->b))
        return RZ_OK;
    uint64_t n = take_items(&w->b, 4, &items);
    return w->emit ? add_tensor(w, name, items, 0, n) : RZ_OK;
}

static rz_status take_matrix(struct walk *w, const char *name)
{
    const uint8_t *items = NULL;
    uint64_t product;
    if (!take_tag(&w->b))
        return RZ_OK;
    uint64_t n = take_items(&w->b, 4, &items);
    uint64_t rows = rz_apr_take_u(&w->b, 8), cols = rz_apr_take_u(&w->b, 8);
    if (!rz_mul_u64(rows, cols, &product) || product != n)
        w->b.bad = true;
    return w->emit && n ? add_tensor(w, name, items, rows, cols) : RZ_OK;
}

static rz_status take_indices(struct walk *w, const char *key)
{
    const uint8_t *items = NULL;
    if (!take_tag(&w->b))
        return RZ_OK;
    uint64_t n = take_items(&w->b, 8, &items);
    const struct rz_apr_put put = {.type = RZ_META_ARRAY,
                                   .elem_type = RZ_META_U64,
                                   .count = n,
                                   .bytes = items,
                                   .n_bytes = (size_t)n * 8};
    return w->emit ? rz_apr_put(w->m, (rz_slice){.data = key, .len = strlen(key)}, &put) : RZ_OK;
}

static rz_status take_lists(struct walk *w, const char *key)
{
    const uint8_t *items;
    uint64_t n = rz_apr_take_u(&w->b, 8);
    for (uint64_t i = 0; i < n && !w->b.bad; i++)
        take_items(&w->b, 8, &items);
    return w->emit ? put_scalar(w, key, RZ_META_U64, &n) : RZ_OK;
}

/* ---- trees ---- */

struct tree {
    uint64_t nodes, leaves, depth;
};

/* Nodes in order: itself, left, right. */
static void take_nodes(struct rz_apr_bytes *b, bool regression, struct tree *t)
{
    uint16_t pending[MAX_TREE_DEPTH + 2];
    size_t n = 0;
    pending[n++] = 1;
    while (n > 0 && !b->bad) {
        uint16_t depth = pending[--n];
        uint64_t tag = rz_apr_take_u(b, 4);
        if (depth > t->depth)
            t->depth = depth;
        if (tag == 1) {
            rz_apr_take(b, regression ? 4 + 8 + 4 : 8 + 8 + 4);
            t->leaves++;
            continue;
        }
        rz_apr_take(b, 8 + 4 + 4 + 8);
        t->nodes++;
        if (tag != 0 || depth >= MAX_TREE_DEPTH) {
            b->bad = true;
            break;
        }
        pending[n++] = (uint16_t)(depth + 1);
        pending[n++] = (uint16_t)(depth + 1);
    }
}

static rz_status put_tree(struct walk *w, const char *key, const struct tree *t)
{
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {{"nodes", t->nodes}, {"leaves", t->leaves}, {"depth", t->depth}};
    for (size_t i = 0; w->emit && i < RZ_ARRAY_LEN(counts); i++) {
        char name[KEY_MAX];
        snprintf(name, sizeof name, "%.80s.%s", key, counts[i].name);
        RZ_TRY(put_scalar(w, name, RZ_META_U64, &counts[i].value));
    }
    return RZ_OK;
}

static rz_status take_tree(struct walk *w, const char *key, bool regression)
{
    struct tree t = {0, 0, 0};
    if (!take_tag(&w->b))
        return RZ_OK;
    take_nodes(&w->b, regression, &t);
    return put_tree(w, key, &t);
}

static rz_status take_trees(struct walk *w, const char *key)
{
    struct tree all = {0, 0, 0};
    uint64_t n = rz_apr_take_u(&w->b, 8);
    for (uint64_t i = 0; i < n && !w->b.bad; i++) {
        if (take_tag(&w->b))
            take_nodes(&w->b, false, &all);
        for (int k = 0; k < 2; k++) /* max_depth, n_features */
            if (take_tag(&w->b))
                rz_apr_take(&w->b, 8);
    }
    if (w->emit)
        RZ_TRY(put_scalar(w, key, RZ_META_U64, &n));
    return put_tree(w, key, &all);
}

/* ---- a struct ---- */

static rz_status take_scalar(struct walk *w, enum kind kind, const char *key)
{
    if (kind == OPTIONAL_U64 && !take_tag(&w->b))
        return RZ_OK;
    size_t n = kind == F32 ? 4 : kind == BOOL ? 1 : 8;
    rz_meta_type type = kind == F32 ? RZ_META_F32 : kind == BOOL ? RZ_META_BOOL : RZ_META_U64;
    uint64_t bits = rz_apr_take_u(&w->b, n);
    if (kind == BOOL && bits > 1)
        w->b.bad = true;
    return w->emit ? put_scalar(w, key, type, &bits) : RZ_OK;
}

static rz_status take_field(struct walk *w, enum kind kind, const char *name)
{
    char key[KEY_MAX];
    snprintf(key, sizeof key, "apr.payload.%s", name);
    switch (kind) {
    case VECTOR:
        return take_vector(w, name);
    case MATRIX:
        return take_matrix(w, name);
    case INDICES:
        return take_indices(w, key);
    case LISTS:
        return take_lists(w, key);
    case TREE:
    case REGRESSION_TREE:
        return take_tree(w, key, kind == REGRESSION_TREE);
    case TREES:
        return take_trees(w, key);
    default:
        return take_scalar(w, kind, key);
    }
}

static rz_status take_struct(struct walk *w, const struct layout *layout)
{
    w->b.pos = 0;
    w->b.bad = false;
    for (size_t i = 0; layout->fields[i].kind != END && !w->b.bad; i++)
        RZ_TRY(take_field(w, layout->fields[i].kind, layout->fields[i].name));
    return RZ_OK;
}

rz_status rz_apr1_put_payload(struct rz_apr_meta *m, uint16_t code, const uint8_t *data, size_t len,
                              uint64_t at)
{
    char text[80];
    struct walk w = {.m = m, .b = {.data = data, .len = len}, .at = at};
    for (size_t i = 0; i < RZ_ARRAY_LEN(layouts); i++) {
        if (layouts[i].code != code)
            continue;
        RZ_TRY(take_struct(&w, &layouts[i]));
        if (w.b.bad || w.b.pos != len)
            continue;
        w.emit = true;
        return take_struct(&w, &layouts[i]);
    }
    snprintf(text, sizeof text, "%zu bytes of a layout that is not known", len);
    return rz_apr_put_text(m, "apr.payload", (rz_slice){.data = text, .len = strlen(text)});
}
