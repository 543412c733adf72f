/* engine.h - a step as session.c asks for it. */
#ifndef RZ_ENGINE_ENGINE_H
#define RZ_ENGINE_ENGINE_H

#include "engine/internal.h"

/* Whether the feed's ids are tokens and fit the context. */
RZ_MUST_USE rz_status rz_feed_check(const rz_engine *e, const rz_feed *f, rz_error *err);

/* rz_engine_step; without last, no logits but those that a feed asks for in all. */
RZ_MUST_USE rz_status rz_engine_run(rz_engine *e, const rz_feed *feeds, size_t n_feeds, bool last,
                                    rz_error *err);

#endif
