/* convert_plan.c - what a conversion will write: each tensor's type and order of rows, and what
 * changes in the metadata.
 *
 * Vectors (norms, biases) are never quantized. GGUF's readers want them in F32, to which every
 * float widens exactly; in SafeTensors they get the type of the matrices where that loses
 * nothing, so that a model comes out of a round trip as it went in. */
#include "base/f16.h"
#include "base/fail.h"
#include "formats/convert.h"
#include "formats/file.h"
#include "quant/dtype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- llama's Q and K ---- */

bool rz_rows_are_halves(const rz_file *file)
{
    char key[RZ_ARCH_KEY_MAX];
    bool halves = false, found;
    if (!rz_arch_is(file, "llama"))
        return true;
    if (rz_file_get_bool(file, rz_arch_key(file, "rope.neox", key), &halves, &found, NULL))
        return false;
    return halves;
}

enum rz_row_order rz_row_order_of(const rz_file *a, const rz_tensor *t, bool halves,
                                  uint32_t *head_dim)
{
    uint32_t n_heads = 0, n_embd = 0;
    bool found;
    *head_dim = 0;
    bool q = strstr(t->name, ".attn_q.") != NULL, k = strstr(t->name, ".attn_k.") != NULL;
    if (!(q || k) || !rz_arch_is(a, "llama") || rz_rows_are_halves(a) == halves)
        return RZ_ROWS_AS_THEY_ARE;
    uint64_t n_rows = t->n_dims > 1 ? t->shape[t->n_dims - 2] : t->shape[0];
    if (rz_arch_u32(a, "attention.head_count", &n_heads, &found, NULL) ||
        rz_arch_u32(a, "embedding_length", &n_embd, &found, NULL) || !n_heads)
        return RZ_ROWS_AS_THEY_ARE;
    *head_dim = n_embd / n_heads;
    if (rz_arch_u32(a, "attention.key_length", head_dim, &found, NULL) || *head_dim < 2 ||
        *head_dim % 2 || n_rows % *head_dim)
        return RZ_ROWS_AS_THEY_ARE;
    return halves ? RZ_ROWS_TO_HALVES : RZ_ROWS_TO_PAIRS;
}

/* Reordering is known for heads that are rotated whole. */
static rz_status check_rotation(const rz_file *source, rz_error *err)
{
    uint32_t n_rot = 0, n_heads = 0, n_embd = 0, head_dim = 0;
    bool found, has_rot, has_dim;
    RZ_TRY(rz_arch_u32(source, "rope.dimension_count", &n_rot, &has_rot, err));
    RZ_TRY(rz_arch_u32(source, "attention.head_count", &n_heads, &found, err));
    RZ_TRY(rz_arch_u32(source, "embedding_length", &n_embd, &found, err));
    RZ_TRY(rz_arch_u32(source, "attention.key_length", &head_dim, &has_dim, err));
    if (!has_dim)
        head_dim = n_heads ? n_embd / n_heads : 0;
    if (head_dim < 2 || head_dim % 2)
        return rz_fail(err, RZ_EINVALID, "%s: heads of %u dimensions", rz_file_path(source),
                       head_dim);
    if (has_rot && n_rot != head_dim)
        return rz_fail(err, RZ_ELOAD,
                       "%s: %u of a head's %u dimensions are rotated, and the rows of such heads "
                       "cannot be brought into the other order",
                       rz_file_path(source), n_rot, head_dim);
    return RZ_OK;
}

/* ---- types ---- */

static bool is_float(rz_dtype type)
{
    return rz_dtype_block_len(type) == 1;
}

/* The type of most of the matrices' elements. */
static rz_dtype main_type(const rz_file *file)
{
    uint64_t bytes[RZ_N_DTYPES] = {0};
    rz_dtype best = RZ_F32;
    for (size_t i = 0; i < rz_file_n_tensors(file); i++) {
        const rz_tensor *t = rz_file_tensor_at(file, i);
        if (t->n_dims > 1)
            bytes[t->dtype] += t->n_bytes;
    }
    for (int type = 0; type < RZ_N_DTYPES; type++)
        if (bytes[type] > bytes[best])
            best = (rz_dtype)type;
    return best;
}

/* Can every element of t be written as type and read back with the same bits? */
static bool is_lossless(const rz_tensor *t, rz_dtype type)
{
    const uint8_t *at = t->data;
    for (uint64_t i = 0; i < t->shape[0]; i++, at += sizeof(float)) {
        uint32_t narrow = 0;
        float in, back;
        memcpy(&in, at, sizeof in);
        rz_encode_row(type, &in, NULL, &narrow, 1);
        rz_dtype_info(type)->decode(&narrow, &back, 1);
        if (rz_f32_bits(in) != rz_f32_bits(back))
            return false;
    }
    return true;
}

static rz_dtype vector_type(const struct rz_plan *p, const rz_tensor *t, rz_dtype matrices)
{
    if (p->writer == &rz_write_gguf || (p->writer == &rz_write_safetensors && matrices == RZ_F32))
        return RZ_F32;
    if (p->writer == &rz_write_safetensors && t->dtype == RZ_F32 && matrices != RZ_F32 &&
        is_float(matrices) && is_lossless(t, matrices))
        return matrices;
    return t->dtype;
}

static void read_mix_model(const rz_file *source, struct rz_mix_model *m)
{
    bool found;
    *m = (struct rz_mix_model){.tied = !rz_file_tensor(source, "output.weight")};
    /* A model that lacks them is still quantized; only layers near both ends go by the numbers. */
    if (rz_arch_u32(source, "block_count", &m->n_layers, &found, NULL) ||
        rz_arch_u32(source, "attention.head_count", &m->n_heads, &found, NULL))
        m->n_heads = 0;
    m->n_kv_heads = m->n_heads;
    if (rz_arch_u32(source, "attention.head_count_kv", &m->n_kv_heads, &found, NULL))
        m->n_kv_heads = 0;
}

/* What a type depends on besides the tensor. */
struct chooser {
    const struct rz_plan *plan;
    const rz_file *source;
    struct rz_mix_model model;
    rz_dtype matrices; /* the main type of the result */
};

static rz_status choose_type(const struct chooser *c, const rz_tensor *t, rz_dtype *type,
                             rz_error *err)
{
    const struct rz_plan *p = c->plan;
    *type = t->dtype;
    if (p->mix)
        *type = rz_mix_choose(p->mix, &c->model, t->name, t->n_dims, t->shape[t->n_dims - 1]);
    if (t->n_dims == 1 && is_float(t->dtype))
        *type = vector_type(p, t, c->matrices);
    if (p->writer->holds(*type))
        return RZ_OK;
    return rz_fail(err, RZ_EUSAGE,
                   "%s: tensor %s is %s, which %s cannot hold; choose a type that it can, such as "
                   "--quantize bf16, f16 or f32",
                   rz_file_path(c->source), t->name, rz_dtype_name(*type), p->writer->format);
}

static rz_status plan_tensors(struct rz_plan *p, const rz_file *source, rz_error *err)
{
    struct chooser c = {.plan = p, .source = source, .matrices = main_type(source)};
    const rz_tensor *head = rz_file_tensor(source, "token_embd.weight");
    bool halves = p->writer == &rz_write_safetensors ||
                  (p->writer != &rz_write_gguf && rz_rows_are_halves(source));
    read_mix_model(source, &c.model);
    if (p->mix && head)
        c.matrices = rz_mix_choose(p->mix, &c.model, head->name, head->n_dims,
                                   head->shape[head->n_dims - 1]);
    for (size_t i = 0; i < p->n; i++) {
        const rz_tensor *t = rz_file_tensor_at(source, i);
        struct rz_out_tensor *out = &p->out[i];
        struct rz_move *move = &p->moves[i];
        *out = (struct rz_out_tensor){.name = t->name, .n_dims = t->n_dims};
        memcpy(out->shape, t->shape, sizeof out->shape);
        RZ_TRY(choose_type(&c, t, &out->dtype, err));
        *move = (struct rz_move){.file = source, .in = t, .out = out};
        move->order = rz_row_order_of(source, t, halves, &move->head_dim);
        p->requantizes = p->requantizes ||
                         (out->dtype != t->dtype && !is_float(t->dtype) && !is_float(out->dtype));
    }
    return RZ_OK;
}

/* ---- metadata ---- */

static void edit(struct rz_plan *p, struct rz_meta_edit e)
{
    RZ_ASSERT(p->n_edits < RZ_CONVERT_MAX_EDITS);
    p->edits[p->n_edits++] = e;
}

static void plan_metadata(struct rz_plan *p, const rz_file *source)
{
    /* Of a split file; what is written is one. */
    static const char *const split[] = {"split.no", "split.count", "split.tensors.count"};
    const struct rz_mix *mix = p->mix;
    bool quantized = false;
    for (size_t i = 0; i < RZ_ARRAY_LEN(split); i++)
        if (rz_file_meta(source, split[i]))
            edit(p, (struct rz_meta_edit){.key = split[i], .drop = true});
    for (size_t i = 0; i < p->n; i++)
        quantized = quantized || !is_float(p->out[i].dtype);
    if (!mix && !rz_file_meta(source, "general.file_type"))
        mix = rz_mix_by_name(rz_dtype_name(main_type(source)));
    if (mix)
        edit(p, (struct rz_meta_edit){.key = "general.file_type",
                                      .type = RZ_META_U32,
                                      .value.u = rz_mix_file_type(mix)});
    if (quantized)
        edit(p, (struct rz_meta_edit){
                    .key = "general.quantization_version", .type = RZ_META_U32, .value.u = 2});
    rz_arch_key(source, "rope.neox", p->neox_key);
    if (p->writer == &rz_write_gguf && rz_file_meta(source, p->neox_key))
        edit(p, (struct rz_meta_edit){.key = p->neox_key, .drop = true});
}

rz_status rz_plan_make(struct rz_plan *p, const rz_file *source, const struct rz_writer_ops *writer,
                       const char *type, rz_error *err)
{
    p->writer = writer;
    p->n = rz_file_n_tensors(source);
    bool keeps = !type || strcasecmp(type, "keep") == 0;
    p->mix = keeps ? NULL : rz_mix_by_name(type);
    if (!keeps && !p->mix)
        return rz_fail(err, RZ_EUSAGE,
                       "%s is no type and no mix that can be written (q8_0, q4_k_m ...: `apr help "
                       "quantize` lists them)",
                       type);
    p->out = calloc(p->n + 1, sizeof *p->out);
    p->moves = calloc(p->n + 1, sizeof *p->moves);
    if (!p->out || !p->moves)
        return rz_fail_nomem(err, p->n * sizeof *p->moves, "the plan of a conversion");
    RZ_TRY(plan_tensors(p, source, err));
    for (size_t i = 0; i < p->n; i++)
        if (p->moves[i].order != RZ_ROWS_AS_THEY_ARE)
            RZ_TRY(check_rotation(source, err));
    plan_metadata(p, source);
    return RZ_OK;
}

void rz_plan_fini(struct rz_plan *p)
{
    free(p->out);
    free(p->moves);
    *p = (struct rz_plan){0};
}
