/* cmd_tree.c - `apr tree FILE`: the modules that the tensors' names spell, as text, for Graphviz,
 * for Mermaid, as JSON. Names are the file's own words: each format's quoting is applied to them.
 */
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/io.h"
#include "cli/tensor_list.h"
#include "cli/tree_nodes.h"

#include <inttypes.h>
#include <string.h>

enum {
    MAX_PREFIX = 4 * 260 /* of a line in the text: four columns a level */
};
static const size_t max_tree_bytes = (size_t)1 << 30;

struct tree_args {
    const char *format, *filter;
    struct cli_uint depth;
    bool sizes, json;
};

#define FIELD(f) offsetof(struct tree_args, f)

static const struct cli_option tree_options[] = {
    CLI_ROW(CLI_CHOICE, 0, "format", "ascii|dot|mermaid|json", FIELD(format),
            "how to draw it (default: ascii)"),
    CLI_ROW_RANGE(CLI_UINT, 0, "depth", "N", 1, 256, FIELD(depth),
                  "show N levels; what is below is counted"),
    CLI_ROW(CLI_STRING, 0, "filter", "NAME", FIELD(filter),
            "only tensors whose name has NAME in it, or that a pattern like 'blk.0.*' fits"),
    CLI_ROW_FLAG(0, "sizes", FIELD(sizes), "with bytes, and shares of the whole"),
    CLI_ROW_FLAG(0, "json", FIELD(json), "as --format json"),
    {0},
};

struct drawing {
    const struct tree_args *args;
    const char *path;
    uint64_t total_bytes;
    uint32_t next_id; /* of a node, in dot and mermaid */
    enum {
        PLAIN,
        DOT,
        MERMAID
    } quoting;
};

static bool is_folded(const struct drawing *d, const struct cli_node *n, uint64_t level)
{
    return n->children && d->args->depth.set && level >= d->args->depth.value;
}

/* "1.2 M" in text. */
static const char *count_text(char text[32], uint64_t n)
{
    if (n < 10000)
        snprintf(text, 32, "%" PRIu64, n);
    else if (n < 10000000)
        snprintf(text, 32, "%.1f K", (double)n * 1e-3);
    else if (n < 10000000000u)
        snprintf(text, 32, "%.1f M", (double)n * 1e-6);
    else
        snprintf(text, 32, "%.1f B", (double)n * 1e-9);
    return text;
}

/* What is told of a node beside its label; plain characters alone. */
static void describe(const struct drawing *d, const struct cli_node *n, char *out, size_t size)
{
    char shape[CLI_SHAPE_MAX], count[32], bytes[CLI_BYTES_MAX], sizes[64] = "";
    if (d->args->sizes)
        snprintf(sizes, sizeof sizes, ", %s (%.1f %%)", cli_bytes(bytes, n->bytes),
                 d->total_bytes ? 100 * (double)n->bytes / (double)d->total_bytes : 0);
    if (n->tensor && !n->children)
        snprintf(out, size, "%s [%s]%s", rz_dtype_name(n->tensor->dtype),
                 cli_shape(shape, n->tensor), sizes);
    else
        snprintf(out, size, "%" PRIu64 " tensor%s, %s parameters%s", n->n_tensors,
                 n->n_tensors == 1 ? "" : "s", count_text(count, n->elements), sizes);
}

/* ---- text ---- */

static void print_node(const struct drawing *d, const struct cli_node *n, char *prefix, size_t len,
                       uint64_t level)
{
    static const char bar[4] = {'|', ' ', ' ', ' '}, blank[4] = {' ', ' ', ' ', ' '};
    for (const struct cli_node *c = n->children; c; c = c->next) {
        char what[256];
        describe(d, c, what, sizeof what);
        bool last = !c->next;
        printf("%.*s%s", (int)len, prefix, last ? "`-- " : "|-- ");
        cli_put_clean(stdout, c->label, c->label_len, false);
        printf("  %s%s\n", what, is_folded(d, c, level) ? " ..." : "");
        if (c->tensor && c->children) {
            struct cli_node own = {.tensor = c->tensor, .bytes = c->tensor->n_bytes};
            describe(d, &own, what, sizeof what);
            printf("%.*s%s    (itself)  %s\n", (int)len, prefix, last ? " " : "|", what);
        }
        if (!c->children || is_folded(d, c, level) || len + 4 > MAX_PREFIX)
            continue;
        memcpy(prefix + len, last ? blank : bar, sizeof bar);
        print_node(d, c, prefix, len + 4, level + 1);
    }
}

static void print_text(const struct drawing *d, const struct cli_node *root)
{
    char prefix[MAX_PREFIX + 4], what[256];
    describe(d, root, what, sizeof what);
    cli_put_clean(stdout, d->path, strlen(d->path), false);
    printf("  %s\n", what);
    print_node(d, root, prefix, 0, 1);
}

/* ---- dot and mermaid ---- */

/* One byte of a label as the language wants it in double quotes: Graphviz's "escString" has
 * backslashes, Mermaid has HTML-like entities. Newlines and other controls were cleaned before. */
static void put_quoted_byte(const struct drawing *d, char c)
{
    bool special = d->quoting == DOT ? c == '"' || c == '\\' : strchr("\"#<>&`;\\", c) != NULL;
    if (!special)
        putchar(c);
    else if (d->quoting == DOT)
        printf("\\%c", c);
    else
        printf("#%u;", (unsigned)(unsigned char)c);
}

static void put_quoted(const struct drawing *d, const char *text, size_t len)
{
    char *clean = NULL;
    size_t clean_len = 0;
    FILE *to = open_memstream(&clean, &clean_len);
    if (to) {
        cli_put_clean(to, text, len, false);
        if (!fclose(to))
            for (size_t i = 0; i < clean_len; i++)
                put_quoted_byte(d, clean[i]);
    }
    free(clean);
}

static void put_label(const struct drawing *d, uint32_t id, const char *label, size_t len,
                      const char *what)
{
    bool dot = d->quoting == DOT;
    printf(dot ? "  n%u [label=\"" : "  n%u[\"", (unsigned)id);
    put_quoted(d, label, len);
    fputs(dot ? "\\n" : "<br/>", stdout);
    put_quoted(d, what, strlen(what));
    fputs(dot ? "\"];\n" : "\"]\n", stdout);
}

/* The nodes below n, which is number id. */
static void put_graph(struct drawing *d, const struct cli_node *n, uint32_t id, uint64_t level)
{
    for (const struct cli_node *c = n->children; c; c = c->next) {
        char what[256];
        describe(d, c, what, sizeof what);
        uint32_t child = ++d->next_id;
        put_label(d, child, c->label, c->label_len, what);
        printf(d->quoting == DOT ? "  n%u -> n%u;\n" : "  n%u --> n%u\n", (unsigned)id,
               (unsigned)child);
        if (!is_folded(d, c, level))
            put_graph(d, c, child, level + 1);
    }
}

static void print_graph(struct drawing *d, const struct cli_node *root)
{
    bool dot = d->quoting == DOT;
    const char *slash = strrchr(d->path, '/'), *name = slash && slash[1] ? slash + 1 : d->path;
    char what[256];
    describe(d, root, what, sizeof what);
    fputs(dot ? "digraph model {\n  rankdir=LR;\n  node [shape=box, fontname=\"monospace\"];\n"
              : "graph LR\n",
          stdout);
    put_label(d, 0, name, strlen(name), what);
    put_graph(d, root, 0, 1);
    if (dot)
        puts("}");
}

/* ---- JSON ---- */

static json_t *node_json(const struct drawing *d, const struct cli_node *n, uint64_t level)
{
    json_t *o =
        json_pack("{so so so so so}", "name", cli_json_text(n->label, n->label_len), "path",
                  cli_json_text(n->path, n->path_len), "tensors", cli_json_u64(n->n_tensors),
                  "parameters", cli_json_u64(n->elements), "bytes", cli_json_u64(n->bytes));
    if (n->tensor)
        json_object_set_new(o, "tensor",
                            json_pack("{ss so so}", "dtype", rz_dtype_name(n->tensor->dtype),
                                      "shape", cli_shape_json(n->tensor), "bytes",
                                      cli_json_u64(n->tensor->n_bytes)));
    if (d->args->sizes && d->total_bytes)
        json_object_set_new(o, "share", json_real((double)n->bytes / (double)d->total_bytes));
    if (!n->children)
        return o;
    json_t *children = json_array();
    bool folded = level > 1 && is_folded(d, n, level - 1);
    for (const struct cli_node *c = n->children; c && !folded; c = c->next)
        json_array_append_new(children, node_json(d, c, level + 1));
    json_object_set_new(o, "children", children);
    if (folded)
        json_object_set_new(o, "folded", json_true());
    return o;
}

static rz_status draw(struct drawing *d, const struct cli_node *root, rz_error *err)
{
    const char *format = d->args->json || !d->args->format ? NULL : d->args->format;
    if (d->args->json || (format && !strcmp(format, "json"))) {
        json_t *tree = node_json(d, root, 1);
        return cli_out_json(
            json_pack("{so so}", "file", cli_json_text(d->path, strlen(d->path)), "tree", tree),
            err);
    }
    d->quoting = !format                      ? PLAIN
                 : !strcmp(format, "dot")     ? DOT
                 : !strcmp(format, "mermaid") ? MERMAID
                                              : PLAIN;
    if (d->quoting == PLAIN)
        print_text(d, root);
    else
        print_graph(d, root);
    return RZ_OK;
}

static rz_status tree(const struct cli_call *call, rz_error *err)
{
    struct drawing d = {.args = call->args};
    rz_file *file = NULL;
    struct cli_tensors chosen = {0};
    struct rz_arena arena;
    rz_arena_init(&arena, max_tree_bytes);
    if (d.args->json && d.args->format && strcmp(d.args->format, "json") != 0)
        return rz_fail(err, RZ_EUSAGE, "--json and --format %s contradict each other",
                       d.args->format);
    rz_status status = cli_open_listing(&file, call->operands[0], err);
    if (!status)
        status = cli_select_tensors(&chosen, file, d.args->filter, CLI_ORDER_FILE, err);
    if (!status) {
        const struct cli_node *root = cli_tree_build(&arena, chosen.items, chosen.n);
        d.path = rz_file_path(file);
        d.total_bytes = root ? root->bytes : 0;
        status = root ? draw(&d, root, err) : rz_fail_nomem(err, max_tree_bytes, "the tree");
    }
    rz_arena_fini(&arena);
    free(chosen.items);
    rz_file_close(&file);
    return status;
}

const struct cli_command cmd_tree = {
    .name = "tree",
    .operands = "FILE",
    .summary = "draw the modules that a model's tensor names spell",
    .details = "Works for any well-formed file. dot is for Graphviz, mermaid for Markdown.",
    .min_operands = 1,
    .max_operands = 1,
    .args_size = sizeof(struct tree_args),
    .groups = {{"Options", tree_options, 0}},
    .run = tree,
};
