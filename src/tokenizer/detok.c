/* detok.c - ids to text as they come. Bytes that do not yet make a character wait in the state, at
 * most three; each maximal part of an invalid sequence becomes one U+FFFD.
 * Source: The Unicode Standard, section 3.9, "U+FFFD Substitution of Maximal Subparts". */
#include "base/fail.h"
#include "base/utf8.h"
#include "tokenizer/internal.h"

static const char replacement[] = "\xEF\xBF\xBD";

void rz_detok_init(rz_detok *d, const rz_tokenizer *tok, bool keep_special)
{
    *d = (rz_detok){.tok = tok, .keep_special = keep_special, .at_start = true};
}

/* One byte through the state. */
static rz_status feed_byte(rz_detok *d, uint8_t byte, rz_text *out, rz_error *err)
{
    uint32_t cp;
    d->pending[d->n_pending++] = byte;
    int n = rz_utf8_decode((const char *)d->pending, d->n_pending, &cp);
    if (n < 0)
        return RZ_OK;
    size_t waiting = d->n_pending;
    d->n_pending = 0;
    if (n > 0)
        return rz_text_add(out, (const char *)d->pending, waiting, err);
    RZ_TRY(rz_text_add(out, replacement, 3, err));
    /* The byte that broke the sequence may begin the next. */
    return waiting > 1 ? feed_byte(d, byte, out, err) : RZ_OK;
}

rz_status rz_detok_feed(rz_detok *d, int32_t id, rz_text *out, rz_error *err)
{
    rz_slice bytes = rz_tokenizer_bytes(d->tok, id);
    if (bytes.len == 0 || (!d->keep_special && rz_tokenizer_is_special(d->tok, id)))
        return RZ_OK;
    if (d->at_start && d->tok->spm && d->tok->add_space_prefix && bytes.data[0] == ' ') {
        bytes.data++;
        bytes.len--;
    }
    d->at_start = false;
    size_t i = 0;
    while (i < bytes.len) {
        size_t valid = 0;
        if (d->n_pending == 0)
            valid = rz_utf8_valid(bytes.data + i, bytes.len - i);
        RZ_TRY(rz_text_add(out, bytes.data + i, valid, err));
        i += valid;
        if (i < bytes.len)
            RZ_TRY(feed_byte(d, (uint8_t)bytes.data[i++], out, err));
    }
    return RZ_OK;
}

rz_status rz_detok_finish(rz_detok *d, rz_text *out, rz_error *err)
{
    size_t waiting = d->n_pending;
    d->n_pending = 0;
    return waiting > 0 ? rz_text_add(out, replacement, 3, err) : RZ_OK;
}
