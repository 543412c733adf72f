/* hf_build.h - SafeTensors files and Hugging Face directories made by tests, and GGUF files turned
 * into them. Independent of the library's reader. What goes wrong fails the running test. */
#ifndef RZ_TESTS_SUPPORT_HF_BUILD_H
#define RZ_TESTS_SUPPORT_HF_BUILD_H

#include "support/gguf_build.h"

#include <jansson.h>
#include <realizar/file.h>

enum {
    HF_PATH_MAX = 1024
};

/* A SafeTensors file in memory. The header may be changed before st_bytes. */
struct st_build {
    json_t *header;
    struct gb_bytes data, file;
    size_t n_spaces; /* behind the header */
};

void st_init(struct st_build *b);
void st_fini(struct st_build *b);
/* shape: row-major, contiguous dimension last; data NULL: zeros. */
struct st_entry {
    const char *name, *dtype;
    uint32_t n_dims;
    const uint64_t *shape;
    const void *data;
    size_t n_bytes;
};
void st_tensor(struct st_build *b, const struct st_entry *t);
/* The whole file; borrowed until the next call or st_fini. */
const uint8_t *st_bytes(struct st_build *b, size_t *len);
void st_write(struct st_build *b, const char *dir, const char *name);

/* A new empty folder; hf_remove also removes the files in it. */
void hf_scratch(char dir[HF_PATH_MAX]);
void hf_remove(const char *dir);
void hf_put(const char *dir, const char *name, const char *text);
void hf_put_json(const char *dir, const char *name,
                 const json_t *json); /* json stays the caller's */
void hf_copy(const char *from, const char *to, const char *name);
json_t *hf_get_json(const char *dir, const char *name);

/* Hugging Face's name of a GGUF tensor. */
void hf_tensor_name(const char *gguf, char *out, size_t size);

/* config.json and tokenizer.json that say what a GGUF file's metadata says, without rotary scaling
 * and windows. pairs: merges as ["a", "b"], not "a b". */
json_t *hf_config_of(const rz_file *gguf, const char *model_type, const char *class_name);
json_t *hf_tokenizer_of(const rz_file *gguf, bool pairs);
/* A tokenizer's parts of the usual form; pattern: its regular expression. */
json_t *hf_pre_tokenizer(const char *pattern);

/* All tensors of an F32 GGUF file but rope_freqs, Q and K of llama in Hugging Face's order. */
void st_add_gguf(struct st_build *b, const rz_file *gguf);

#endif
