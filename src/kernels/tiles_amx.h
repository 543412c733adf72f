/* tiles_amx.h - whole tiles: all eight registers as 16 rows of 64 bytes. */
#ifndef RZ_KERNELS_TILES_AMX_H
#define RZ_KERNELS_TILES_AMX_H

#include "kernels/tile_amx.h"

/* Once per kernel call, on the thread that runs it: the state is the thread's, and costs 8 KiB at
 * each switch of threads until tiles_end. */
static inline void tiles_begin(void)
{
    struct tile_config c = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        c.row_bytes[i] = TILE_ROW_BYTES;
        c.rows[i] = TILE_ROWS;
    }
    TILE_CONFIGURE(&c);
}

static inline void tiles_end(void)
{
    TILE_RELEASE();
}

#endif
