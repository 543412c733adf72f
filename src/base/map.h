/* map.h - read-only file mapping. */
#ifndef RZ_BASE_MAP_H
#define RZ_BASE_MAP_H

#include <realizar/status.h>
#include <stddef.h>
#include <stdint.h>

struct rz_map_toucher;

struct rz_map {
    const uint8_t *data; /* NULL for an empty file */
    size_t len;
    struct rz_map_toucher *toucher; /* owned; NULL: none */
};

/* Maps a whole regular file. A directory, a missing file: RZ_ENOTFOUND; the system's refusal:
 * RZ_EIO. The file must not be truncated by others while mapped (a page beyond its end then raises
 * SIGBUS; the command turns that into a sentence). */
RZ_MUST_USE rz_status rz_map_open(struct rz_map *map, const char *path, rz_error *err);
/* From now on a thread of its own makes the pages of bytes begin ... end - 1 present, in order, so
 * that who reads them later need not wait for one after the other. A hint: where it cannot be done,
 * or the bytes are more than half of the machine's memory, nothing happens. Once per map. */
void rz_map_touch(struct rz_map *map, size_t begin, size_t end);

/* Ends that thread first. */
void rz_map_close(struct rz_map *map);

#endif
