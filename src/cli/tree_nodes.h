/* tree_nodes.h - the modules that dotted tensor names spell. */
#ifndef RZ_CLI_TREE_NODES_H
#define RZ_CLI_TREE_NODES_H

#include "base/arena.h"

#include <realizar/tensor_stats.h>

/* A module, a tensor, or both ("a" and "a.b"). */
struct cli_node {
    const char *label; /* one component of the name, not NUL-terminated */
    size_t label_len;
    const char *path; /* a tensor's name, of which path_len bytes lead here */
    size_t path_len;
    const rz_tensor *tensor;             /* NULL: a module only */
    struct cli_node *children;           /* first */
    struct cli_node *next;               /* sibling */
    uint64_t n_tensors, elements, bytes; /* of everything below, this included */
    size_t first;                        /* position in the file of its first tensor */
};

/* The root, whose label is empty, over n tensors in the order of the file; from the arena. NULL if
 * memory ran out. Children stand in the order of the file, numbered ones first, by number. */
struct cli_node *cli_tree_build(struct rz_arena *arena, const rz_tensor *const *items, size_t n);

#endif
