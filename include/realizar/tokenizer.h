/* tokenizer.h - text to token ids and back.
 *
 * Byte-level BPE as Hugging Face's tokenizers does it (GPT-2, Qwen2, Llama 3, DeepSeek-Coder ...)
 * and SentencePiece BPE/unigram-scored merging for Llama 1/2 and Mistral models. Immutable after
 * creation; may be used from several threads at once. */
#ifndef REALIZAR_TOKENIZER_H
#define REALIZAR_TOKENIZER_H

#include <realizar/file.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rz_tokenizer rz_tokenizer;

/* Builds the tokenizer from a model file's tokenizer.ggml.* metadata. The tokenizer may borrow
 * strings from the file: the file must stay open for as long as the tokenizer lives. Errors:
 * RZ_EFORMAT (a field is missing, malformed, contradictory), RZ_ELOAD (a tokenizer model or
 * pre-tokenizer that is not supported, named, with the list of those that are), RZ_ENOMEM. */
RZ_API RZ_MUST_USE rz_status rz_tokenizer_new(rz_tokenizer **out, const rz_file *file,
                                              rz_error *err);
RZ_API void rz_tokenizer_free(rz_tokenizer **tok);

enum {
    RZ_ENCODE_SPECIAL = 1, /* added/special tokens written in the text become their ids */
    RZ_ENCODE_BOS_EOS = 2  /* add BOS/EOS where the file says so (add_bos_token, add_eos_token) */
};

/* Ids of a text; grows as needed. Start from {0}. */
typedef struct rz_ids {
    int32_t *data;
    size_t len, cap;
} rz_ids;
RZ_API void rz_ids_free(rz_ids *ids);

/* Appends one id. Errors: RZ_ENOMEM. */
RZ_API RZ_MUST_USE rz_status rz_ids_add(rz_ids *ids, int32_t id, rz_error *err);

/* Appends the ids of text (UTF-8, len bytes; may hold NULs) to ids. Invalid UTF-8 is an error,
 * RZ_EFORMAT with the byte offset. flags: RZ_ENCODE_*. Without RZ_ENCODE_SPECIAL, text that looks
 * like a special token is plain text; added tokens that are not special (user-defined) are still
 * matched, as Hugging Face does. */
RZ_API RZ_MUST_USE rz_status rz_tokenizer_encode(const rz_tokenizer *tok, const char *text,
                                                 size_t len, unsigned flags, rz_ids *ids,
                                                 rz_error *err);

RZ_API uint32_t rz_tokenizer_n_vocab(const rz_tokenizer *tok);
RZ_API const char *rz_tokenizer_model(const rz_tokenizer *tok); /* "gpt2", "llama" */
RZ_API const char *rz_tokenizer_pre(const rz_tokenizer *tok);   /* "qwen2", ... or "" */
RZ_API int32_t rz_tokenizer_bos(const rz_tokenizer *tok);       /* -1 if none */
RZ_API int32_t rz_tokenizer_eos(const rz_tokenizer *tok);       /* -1 if none */
RZ_API bool rz_tokenizer_add_bos(const rz_tokenizer *tok);
/* True for every token that ends a generation: EOS, EOT, EOM, <|im_end|>, <|endoftext|> ... as the
 * file's metadata says (eos_token_id, eot_token_id, eom_token_id) plus the known end-of-turn texts
 * among the control tokens. */
RZ_API bool rz_tokenizer_is_end(const rz_tokenizer *tok, int32_t id);
RZ_API bool rz_tokenizer_is_special(const rz_tokenizer *tok, int32_t id);
/* The id of an added token or vocabulary entry written exactly so, or -1. */
RZ_API int32_t rz_tokenizer_find(const rz_tokenizer *tok, const char *text);

/* The bytes that a token stands for (byte-level decoded; a special token gives its written form).
 * The slice is borrowed from the tokenizer. Not necessarily whole UTF-8. Id out of range: empty. */
RZ_API rz_slice rz_tokenizer_bytes(const rz_tokenizer *tok, int32_t id);

/* Streaming detokenizer: feed ids, take text that never cuts a UTF-8 sequence. Plain struct, no
 * ownership: start from rz_detok_init. Invalid bytes become U+FFFD as Python's errors="replace"
 * does. Special tokens are left out unless keep_special. SentencePiece's first leading space is
 * dropped. */
typedef struct rz_detok {
    const rz_tokenizer *tok;
    bool keep_special;
    bool at_start;
    uint8_t n_pending;
    uint8_t pending[4];
} rz_detok;
RZ_API void rz_detok_init(rz_detok *d, const rz_tokenizer *tok, bool keep_special);

/* A growable, NUL-terminated text; start from {0}. Free with rz_text_free. */
typedef struct rz_text {
    char *data;
    size_t len, cap;
} rz_text;
RZ_API void rz_text_free(rz_text *text);

/* Appends the text that token id completes to out. */
RZ_API RZ_MUST_USE rz_status rz_detok_feed(rz_detok *d, int32_t id, rz_text *out, rz_error *err);
/* End of stream: appends U+FFFD for an unfinished sequence, if any. */
RZ_API RZ_MUST_USE rz_status rz_detok_finish(rz_detok *d, rz_text *out, rz_error *err);

#ifdef __cplusplus
}
#endif
#endif
