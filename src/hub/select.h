/* select.h - which files of a repository make a model. */
#ifndef RZ_HUB_SELECT_H
#define RZ_HUB_SELECT_H

#include "hub/listing.h"

/* One model of a listing: all shards of it and what belongs to it. */
struct rz_variant {
    rz_hub_format format;
    const char *quant; /* label in quant_label.c, NULL: its name tells none */
    size_t *files;     /* indices in the listing; files[0] is what is opened (or lies in what is) */
    size_t n;
    bool auxiliary; /* a projector, an importance matrix: only by its name */
};

struct rz_variants {
    struct rz_variant *items;
    size_t n;
};

/* All complete models of a listing, in the listing's order. Errors: RZ_ENOMEM. */
RZ_MUST_USE rz_status rz_variants_find(struct rz_variants *v, const struct rz_listing *l,
                                       rz_error *err);
void rz_variants_fini(struct rz_variants *v);

/* The one that ref asks for: by file, by quantization, or the default. A file that is no model is a
 * variant of its own, added to v. Errors:
 * RZ_EREMOTE (no such file), RZ_EUSAGE (several fit), RZ_ELOAD (none that apr runs), RZ_ENOMEM. */
RZ_MUST_USE rz_status rz_variant_choose(const struct rz_variant **out, struct rz_variants *v,
                                        const struct rz_listing *l, const rz_hub_ref *ref,
                                        rz_error *err);

#endif
