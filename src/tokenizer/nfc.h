/* nfc.h - Unicode normalization form C as Hugging Face's tokenizers computes it. */
#ifndef RZ_TOKENIZER_NFC_H
#define RZ_TOKENIZER_NFC_H

#include "base/buf.h"
#include <realizar/status.h>

/* The number of bytes at the start of text (valid UTF-8) that NFC leaves alone: len if text is in
 * NFC. Otherwise what follows starts at a boundary, so that it may be normalized by itself. */
size_t rz_nfc_prefix(const char *text, size_t len);

/* Appends NFC of text to out. Errors: RZ_ENOMEM. */
RZ_MUST_USE rz_status rz_nfc_append(const char *text, size_t len, struct rz_buf *out,
                                    rz_error *err);

#endif
