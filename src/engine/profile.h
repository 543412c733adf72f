/* profile.h - the timers between the forward and the backend. */
#ifndef RZ_ENGINE_PROFILE_H
#define RZ_ENGINE_PROFILE_H

#include "engine/bench.h"

#include <realizar/profile.h>

/* Invariant: ops is the first member, and the backend's ops points to it while it is attached, so
 * that a timer finds its profile from the backend alone. */
struct rz_timers {
    struct rz_backend_ops ops;
    const struct rz_backend_ops *inner; /* the backend's own */
    struct rz_backend *backend;
    const struct rz_weights *weights;
    rz_profile_phase *phase; /* where figures are added */
    uint32_t layer;          /* of the operation before */
    unsigned nesting;        /* a backend may call its own operations: only the outermost counts */
};

/* From here to detach every operation of the model's backend is timed. */
void rz_timers_attach(struct rz_timers *t, const rz_model *model);
void rz_timers_detach(struct rz_timers *t);

/* Seconds that one timer takes, by timing many around nothing. */
double rz_timers_cost(void);

#endif
