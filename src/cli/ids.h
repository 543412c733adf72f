/* ids.h - token ids on the command line and in files. */
#ifndef RZ_CLI_IDS_H
#define RZ_CLI_IDS_H

#include <realizar/tokenizer.h>

/* Appends ids written as "1,2,3" (one comma, spaces or both between two). Errors: RZ_EUSAGE (not a
 * number, or not below n_vocab). */
rz_status cli_parse_ids(const char *text, uint32_t n_vocab, rz_ids *ids, rz_error *err);

/* Appends the ids of a file that holds a JSON array of them. Errors: those of reading; RZ_EFORMAT.
 */
rz_status cli_read_ids(const char *path, uint32_t n_vocab, rz_ids *ids, rz_error *err);

#endif
