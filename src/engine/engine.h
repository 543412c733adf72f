/* engine.h - a step as session.c asks for it. */
#ifndef RZ_ENGINE_ENGINE_H
#define RZ_ENGINE_ENGINE_H

#include "engine/internal.h"

/* Which logits a step computes: none, those after each feed's last token, or all of its only feed.
 */
struct rz_step_wish {
    bool last;
    float *all; /* [n][n_vocab] or NULL */
};

RZ_MUST_USE rz_status rz_engine_run(rz_engine *e, const rz_feed *feeds, size_t n_feeds,
                                    const struct rz_step_wish *wish, rz_error *err);

#endif
