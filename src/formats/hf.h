/* hf.h - a Hugging Face model: the JSON documents that stand beside SafeTensors files, translated
 * to the metadata keys that the rest of the library reads.
 *
 * hf_dir.c opens; hf_config.c, hf_rope.c, hf_tokenizer.c and hf_special.c each translate one
 * document. What would change a result and is not understood is refused by name. */
#ifndef RZ_FORMATS_HF_H
#define RZ_FORMATS_HF_H

#include "base/buf.h"
#include "formats/file.h"

#include <jansson.h>

enum {
    /* Of JSON that becomes a tree, which takes up to 40 times as much; the largest
     * tokenizer_config.json known, Gemma's, has 1.2 MB. */
    RZ_HF_MAX_TREE_BYTES = 4 << 20
};

enum rz_hf_doc_id {
    RZ_HF_CONFIG,
    RZ_HF_GENERATION,
    RZ_HF_TOKENIZER,
    RZ_HF_TOKENIZER_CONFIG,
    RZ_HF_TEMPLATE,
    RZ_HF_N_DOCS
};

struct rz_hf_doc {
    rz_slice text;     /* data NULL: there is none */
    struct rz_map map; /* empty when text is borrowed */
};

struct rz_hf {
    struct rz_file *file;
    const char *dir;  /* as messages show it */
    const char *name; /* of the model where config.json has none; may be "" */
    struct rz_hf_doc docs[RZ_HF_N_DOCS];
    json_t *config, *generation, *tokenizer_config; /* the last two may be NULL */
    const char *arch;                               /* GGUF's name, static */
    bool tied;                                      /* the head is the embedding */
    uint32_t head_dim, n_ctx;
    const float *rope_factors; /* [head_dim / 2] in the arena, or NULL */
    uint32_t n_vocab;
    rz_error *err;
};

/* The document's file name. */
const char *rz_hf_doc_name(enum rz_hf_doc_id id);

/* "DIR/DOCUMENT: ..." */
#define rz_hf_bad(...) RZ_NOT_OK(rz_hf_bad_fill(__VA_ARGS__))
rz_status rz_hf_bad_fill(struct rz_hf *h, rz_status code, enum rz_hf_doc_id id, const char *format,
                         ...) __attribute__((format(printf, 4, 5)));

/* ---- the steps, in order ---- */

/* config.json: architecture, sizes, rotary embedding. */
RZ_MUST_USE rz_status rz_hf_read_config(struct rz_hf *h);
RZ_MUST_USE rz_status rz_hf_read_rope(struct rz_hf *h);
/* With the weights read: do they fit config.json; adds the tensor of the rotary factors. */
RZ_MUST_USE rz_status rz_hf_check_weights(struct rz_hf *h);
/* tokenizer.json, then what the other documents say of special tokens, sampling and the template.
 */
RZ_MUST_USE rz_status rz_hf_read_tokenizer(struct rz_hf *h);
RZ_MUST_USE rz_status rz_hf_read_special(struct rz_hf *h, rz_slice post_processor);

/* The name of the pre-tokenizer that tokenizer.json's fields of these names mean. */
RZ_MUST_USE rz_status rz_hf_find_pre(struct rz_hf *h, const json_t *pre_tokenizer,
                                     const json_t *normalizer, bool ignore_merges,
                                     const char **name);

/* The way back: pre_tokenizer of a name that tokenizer.ggml.pre has, with what belongs to it
 * elsewhere in the document. NULL: not among the known ones. */
json_t *rz_hf_pre_json(rz_slice name, bool *nfc, bool *ignore_merges);
/* model_type and class of an architecture; false if it has none here. window: all layers attend to
 * a sliding window. */
bool rz_hf_class_of(rz_slice arch, bool window, const char **model_type, const char **class_name);

/* ---- values of a JSON object; null counts as absent ---- */

/* A field that is absent leaves *value; *found may be NULL: then it must be there. */
RZ_MUST_USE rz_status rz_hf_get_u32(struct rz_hf *h, enum rz_hf_doc_id id, const json_t *object,
                                    const char *key, uint32_t *value, bool *found);
RZ_MUST_USE rz_status rz_hf_get_f64(struct rz_hf *h, enum rz_hf_doc_id id, const json_t *object,
                                    const char *key, double *value, bool *found);
RZ_MUST_USE rz_status rz_hf_get_bool(struct rz_hf *h, enum rz_hf_doc_id id, const json_t *object,
                                     const char *key, bool *value, bool *found);
/* NULL if the field is absent or null. */
const json_t *rz_hf_field(const json_t *object, const char *key);

/* Parses a small document or a part of one. */
RZ_MUST_USE rz_status rz_hf_parse(struct rz_hf *h, enum rz_hf_doc_id id, rz_slice text,
                                  json_t **out);

/* ---- metadata; values are copied to the file's arena, keys too ---- */

RZ_MUST_USE rz_status rz_hf_put_u32(struct rz_hf *h, const char *key, uint32_t value);
RZ_MUST_USE rz_status rz_hf_put_i32(struct rz_hf *h, const char *key, int32_t value);
RZ_MUST_USE rz_status rz_hf_put_f32(struct rz_hf *h, const char *key, double value);
RZ_MUST_USE rz_status rz_hf_put_bool(struct rz_hf *h, const char *key, bool value);
RZ_MUST_USE rz_status rz_hf_put_string(struct rz_hf *h, const char *key, const char *text,
                                       size_t len);
/* n elements of 4 bytes. */
RZ_MUST_USE rz_status rz_hf_put_i32s(struct rz_hf *h, const char *key, const int32_t *values,
                                     size_t n);

/* An array of strings as metadata stores it, growing with what has been read. Start from {0}. */
struct rz_hf_strings {
    struct rz_buf bytes;
    uint32_t *starts;
    size_t n, cap;
};
RZ_MUST_USE rz_status rz_hf_strings_init(struct rz_hf *h, struct rz_hf_strings *s);
void rz_hf_strings_fini(struct rz_hf_strings *s);
/* Begin a string, append a JSON string's text (escapes resolved) or plain bytes, end it. */
void rz_hf_strings_begin(struct rz_hf_strings *s);
void rz_hf_strings_raw(struct rz_hf_strings *s, rz_slice raw);
void rz_hf_strings_text(struct rz_hf_strings *s, const char *text, size_t len);
RZ_MUST_USE rz_status rz_hf_strings_end(struct rz_hf *h, struct rz_hf_strings *s);
rz_slice rz_hf_strings_at(const struct rz_hf_strings *s, size_t i);
RZ_MUST_USE rz_status rz_hf_put_strings(struct rz_hf *h, const char *key,
                                        const struct rz_hf_strings *s);

/* ---- opening ---- */

/* A directory with config.json. */
RZ_MUST_USE rz_status rz_hf_read_dir(struct rz_file *file, rz_error *err);

/* The whole model from memory, which must outlive *out: the bytes of model.safetensors and the
 * documents. name is for messages. */
RZ_MUST_USE rz_status rz_hf_open_memory(rz_file **out, const char *name, rz_slice weights,
                                        const rz_slice docs[RZ_HF_N_DOCS], rz_error *err);

/* Maps and reads the shards that an index names. text: the index, label: its path. */
RZ_MUST_USE rz_status rz_hf_read_index(struct rz_hf *h, const char *folder, rz_slice text,
                                       const char *label);

#endif
