/* dotapr_pack.h - where an .apr file's bytes go when it is written: plain or compressed.
 *
 * The first RZ_APR_HEADER_BYTES bytes always stand plain. Memory stays the same whatever the size.
 * One thread. */
#ifndef RZ_FORMATS_DOTAPR_PACK_H
#define RZ_FORMATS_DOTAPR_PACK_H

#include "formats/writer.h"

struct rz_apr_pack;
struct rz_out_file;

/* total: bytes that will be put, header included. out is borrowed; path: the file's, for the folder
 * of what LZ4 needs beside it. Errors: RZ_ELOAD (more than an LZ4 block holds), RZ_EIO, RZ_ENOMEM.
 */
RZ_MUST_USE rz_status rz_apr_pack_new(struct rz_apr_pack **pack, struct rz_out_file *out,
                                      enum rz_compression compression, uint64_t total,
                                      rz_error *err);
void rz_apr_pack_free(struct rz_apr_pack **pack);

RZ_MUST_USE rz_status rz_apr_pack_put(struct rz_apr_pack *pack, const void *data, size_t len,
                                      rz_error *err);
/* CRC-32 of all that was put. */
uint32_t rz_apr_pack_crc(const struct rz_apr_pack *pack);

/* total bytes have been put: writes what is left. */
RZ_MUST_USE rz_status rz_apr_pack_end(struct rz_apr_pack *pack, rz_error *err);

#endif
