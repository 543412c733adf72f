/* tree_nodes.c - a tree from sorted names: tensors that share a component are neighbours, so each
 * level is one walk. A name has at most RZ_MAX_TENSOR_NAME_BYTES, which bounds the recursion. */
#include "cli/tree_nodes.h"

#include <stdlib.h>
#include <string.h>

/* A tensor and its position in the file. */
struct entry {
    const rz_tensor *tensor;
    size_t position;
};

/* Where a byte stands among names that are sorted component by component: the end, the dot, the
 * others. Otherwise "a-b" would come between "a" and "a.c". */
static int rank(char c)
{
    return c == '\0' ? 0 : c == '.' ? 1 : (unsigned char)c + 2;
}

static int by_name(const void *a, const void *b)
{
    const char *x = ((const struct entry *)a)->tensor->name;
    const char *y = ((const struct entry *)b)->tensor->name;
    while (*x && *x == *y) {
        x++;
        y++;
    }
    return rank(*x) - rank(*y);
}

static size_t component(const char *name)
{
    return strcspn(name, ".");
}

static bool is_number(const struct cli_node *n)
{
    size_t i = 0;
    while (i < n->label_len && n->label[i] >= '0' && n->label[i] <= '9')
        i++;
    return i > 0 && i == n->label_len && i < 10;
}

static unsigned long number_of(const struct cli_node *n)
{
    unsigned long v = 0;
    for (size_t i = 0; i < n->label_len; i++)
        v = v * 10 + (unsigned long)(n->label[i] - '0');
    return v;
}

static int by_order(const void *a, const void *b)
{
    const struct cli_node *x = *(struct cli_node *const *)a, *y = *(struct cli_node *const *)b;
    if (is_number(x) && is_number(y) && number_of(x) != number_of(y))
        return number_of(x) < number_of(y) ? -1 : 1;
    if (is_number(x) != is_number(y))
        return is_number(x) ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* Puts the n children, linked in any order, into theirs. */
static bool order_children(struct rz_arena *arena, struct cli_node *node, size_t n)
{
    struct cli_node **list = rz_arena_alloc(arena, n, sizeof(void *));
    size_t i = 0;
    if (!list)
        return false;
    for (struct cli_node *c = node->children; c; c = c->next)
        list[i++] = c;
    qsort(list, n, sizeof(void *), by_order);
    struct cli_node **link = &node->children;
    for (i = 0; i < n; i++) {
        *link = list[i];
        link = &list[i]->next;
    }
    *link = NULL;
    return true;
}

static void count(struct cli_node *n, const struct entry *entries, size_t n_entries)
{
    n->n_tensors = n_entries;
    n->first = SIZE_MAX;
    for (size_t i = 0; i < n_entries; i++) {
        n->elements += rz_tensor_count(entries[i].tensor);
        n->bytes += entries[i].tensor->n_bytes;
        n->first = entries[i].position < n->first ? entries[i].position : n->first;
    }
}

/* True if the name's component at offset is the len bytes at label. */
static bool same_component(const char *name, size_t offset, const char *label, size_t len)
{
    return component(name + offset) == len && !memcmp(name + offset, label, len);
}

/* The children of node, whose tensors are entries[0..n), sorted; their names' components start at
 * offset. */
static bool build(struct rz_arena *arena, struct cli_node *node, const struct entry *entries,
                  size_t n, size_t offset)
{
    size_t n_children = 0;
    for (size_t i = 0; i < n;) {
        const char *name = entries[i].tensor->name;
        size_t len = component(name + offset), end = i + 1;
        while (end < n && same_component(entries[end].tensor->name, offset, name + offset, len))
            end++;
        struct cli_node *c = rz_arena_alloc(arena, 1, sizeof *c);
        if (!c)
            return false;
        *c = (struct cli_node){.label = name + offset,
                               .label_len = len,
                               .path = name,
                               .path_len = offset + len,
                               .next = node->children};
        node->children = c;
        n_children++;
        count(c, entries + i, end - i);
        size_t first = i;
        if (name[offset + len] == '\0') {
            c->tensor = entries[i].tensor;
            first++;
        }
        if (first < end && !build(arena, c, entries + first, end - first, offset + len + 1))
            return false;
        i = end;
    }
    return order_children(arena, node, n_children);
}

struct cli_node *cli_tree_build(struct rz_arena *arena, const rz_tensor *const *items, size_t n)
{
    struct entry *entries = rz_arena_alloc(arena, n, sizeof *entries);
    struct cli_node *root = rz_arena_alloc(arena, 1, sizeof *root);
    if (!entries || !root)
        return NULL;
    for (size_t i = 0; i < n; i++)
        entries[i] = (struct entry){items[i], i};
    qsort(entries, n, sizeof *entries, by_name);
    *root = (struct cli_node){.label = "", .path = ""};
    count(root, entries, n);
    return build(arena, root, entries, n, 0) ? root : NULL;
}
