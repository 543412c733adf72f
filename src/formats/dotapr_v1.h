/* dotapr_v1.h - the parts of reading .apr version 1: a header, a MessagePack map, a bincode
 * payload.
 */
#ifndef RZ_FORMATS_DOTAPR_V1_H
#define RZ_FORMATS_DOTAPR_V1_H

#include "formats/dotapr_meta.h"

/* Bytes that are read from front to back; bad once they ended too early, and for good. */
struct rz_apr_bytes {
    const uint8_t *data;
    size_t len, pos;
    bool bad;
};
/* The next n bytes, or NULL. */
const uint8_t *rz_apr_take(struct rz_apr_bytes *b, size_t n);
/* A little-endian number of 1 to 8 bytes; 0 when there are too few. */
uint64_t rz_apr_take_u(struct rz_apr_bytes *b, size_t n);

/* A MessagePack map as entries prefix.KEY; maps in it become KEY.KEY, arrays JSON text. */
RZ_MUST_USE rz_status rz_apr1_put_map(struct rz_apr_meta *m, const uint8_t *data, size_t len,
                                      const char *prefix);

/* The model_type of a code; NULL if there is none. */
const char *rz_apr1_model_type(uint16_t code);

/* The payload's fields as entries apr.payload.NAME, its vectors and matrices as tensors. data
 * outlives the file; at: its place in the file for messages, 0 if it was unpacked. A layout that is
 * not known is said in apr.payload, not an error. */
RZ_MUST_USE rz_status rz_apr1_put_payload(struct rz_apr_meta *m, uint16_t code, const uint8_t *data,
                                          size_t len, uint64_t at);

#endif
