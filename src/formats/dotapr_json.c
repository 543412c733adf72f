/* dotapr_json.c - JSON values as serde_json writes them, and the fields of aprender's metadata
 * struct in their order. Source: RFC 8259; aprender's metadata struct, as docs/formats.md tells. */
#include "formats/dotapr_json.h"

#include "base/f16.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[RZ_APR_N_KNOWN] = {
    [RZ_APR_MODEL_TYPE] = "model_type",
    [RZ_APR_NAME] = "name",
    [RZ_APR_DESCRIPTION] = "description",
    [RZ_APR_AUTHOR] = "author",
    [RZ_APR_LICENSE] = "license",
    [RZ_APR_DATA_SOURCE] = "data_source",
    [RZ_APR_DATA_LICENSE] = "data_license",
    [RZ_APR_VERSION] = "version",
    [RZ_APR_SOURCE] = "source",
    [RZ_APR_ORIGINAL_FORMAT] = "original_format",
    [RZ_APR_CREATED_AT] = "created_at",
    [RZ_APR_TOTAL_SIZE] = "total_size",
    [RZ_APR_PARAM_COUNT] = "param_count",
    [RZ_APR_QUANTIZATION] = "quantization",
    [RZ_APR_SHARDING] = "sharding",
    [RZ_APR_CHAT_TEMPLATE] = "chat_template",
    [RZ_APR_CHAT_FORMAT] = "chat_format",
    [RZ_APR_SPECIAL_TOKENS] = "special_tokens",
    [RZ_APR_ARCHITECTURE] = "architecture",
    [RZ_APR_HF_ARCHITECTURE] = "hf_architecture",
    [RZ_APR_HF_MODEL_TYPE] = "hf_model_type",
    [RZ_APR_HIDDEN_SIZE] = "hidden_size",
    [RZ_APR_NUM_LAYERS] = "num_layers",
    [RZ_APR_NUM_HEADS] = "num_heads",
    [RZ_APR_NUM_KV_HEADS] = "num_kv_heads",
    [RZ_APR_VOCAB_SIZE] = "vocab_size",
    [RZ_APR_INTERMEDIATE_SIZE] = "intermediate_size",
    [RZ_APR_MAX_POSITION_EMBEDDINGS] = "max_position_embeddings",
    [RZ_APR_ROPE_THETA] = "rope_theta",
    [RZ_APR_ROPE_TYPE] = "rope_type",
    [RZ_APR_RMS_NORM_EPS] = "rms_norm_eps",
    [RZ_APR_HEAD_DIM] = "head_dim",
    [RZ_APR_NUM_EXPERTS] = "num_experts",
    [RZ_APR_NUM_EXPERTS_PER_TOK] = "num_experts_per_tok",
    [RZ_APR_MOE_INTERMEDIATE_SIZE] = "moe_intermediate_size",
};

void rz_apr_known_init(struct rz_apr_known_fields *k)
{
    for (int i = 0; i < RZ_APR_N_KNOWN; i++)
        rz_buf_init(&k->value[i], SIZE_MAX);
}

void rz_apr_known_fini(struct rz_apr_known_fields *k)
{
    for (int i = 0; i < RZ_APR_N_KNOWN; i++)
        rz_buf_fini(&k->value[i]);
}

void rz_apr_put_known(struct rz_buf *out, const struct rz_apr_known_fields *k, bool all_nulls)
{
    const char *comma = "";
    for (int i = 0; i < RZ_APR_N_KNOWN; i++) {
        const struct rz_buf *value = &k->value[i];
        bool legal = i == RZ_APR_LICENSE || i == RZ_APR_DATA_SOURCE || i == RZ_APR_DATA_LICENSE;
        if (value->failed)
            out->failed = true;
        if (value->len == 0 && !legal && !all_nulls)
            continue;
        rz_buf_printf(out, "%s\"%s\":", comma, names[i]);
        if (value->len)
            rz_buf_add(out, value->data, value->len);
        else
            rz_buf_str(out, "null");
        comma = ",";
    }
}

static void put_control(struct rz_buf *out, char c)
{
    static const char letters[] = "\b\f\n\r\t", names_of[] = "bfnrt";
    const char *letter = c ? strchr(letters, c) : NULL;
    if (letter)
        rz_buf_printf(out, "\\%c", names_of[letter - letters]);
    else
        rz_buf_printf(out, "\\u%04x", (unsigned char)c);
}

void rz_apr_put_json_text(struct rz_buf *out, rz_slice text)
{
    const char *p = text.data;
    size_t left = text.len;
    rz_buf_char(out, '"');
    while (left > 0) {
        size_t valid = rz_utf8_valid(p, left), begin = 0;
        for (size_t i = 0; i < valid; i++) {
            bool control = (unsigned char)p[i] < 0x20;
            if (!control && p[i] != '"' && p[i] != '\\')
                continue;
            rz_buf_add(out, p + begin, i - begin);
            begin = i + 1;
            if (control)
                put_control(out, p[i]);
            else
                rz_buf_printf(out, "\\%c", p[i]);
        }
        rz_buf_add(out, p + begin, valid - begin);
        p += valid;
        left -= valid;
        if (left > 0) {
            rz_buf_str(out, "\xEF\xBF\xBD");
            p++;
            left--;
        }
    }
    rz_buf_char(out, '"');
}

/* Whole numbers as serde_json has them, "10000.0". */
static bool put_whole(struct rz_buf *out, double value)
{
    if (value != floor(value) || fabs(value) >= 1e15)
        return false;
    rz_buf_printf(out, "%.1f", value);
    return true;
}

void rz_apr_put_json_f32(struct rz_buf *out, float value)
{
    char digits[32] = "";
    if (!isfinite(value)) {
        rz_buf_printf(out, "\"0x%08" PRIx32 "\"", rz_f32_bits(value));
        return;
    }
    if (put_whole(out, (double)value))
        return;
    for (int n = 6; n <= 9; n++) {
        snprintf(digits, sizeof digits, "%.*g", n, (double)value);
        if (strtof(digits, NULL) == value)
            break;
    }
    rz_buf_str(out, digits);
}

void rz_apr_put_json_f64(struct rz_buf *out, double value)
{
    char digits[40] = "";
    uint64_t bits;
    if (!isfinite(value)) {
        memcpy(&bits, &value, sizeof bits);
        rz_buf_printf(out, "\"0x%016" PRIx64 "\"", bits);
        return;
    }
    if (put_whole(out, value))
        return;
    for (int n = 15; n <= 17; n++) {
        snprintf(digits, sizeof digits, "%.*g", n, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    rz_buf_str(out, digits);
}
