/* quant_label.c - labels of quantizations in the names of GGUF files, as publishers write them.
 * A label stands between characters that are neither letters nor digits. */
#include "hub/quant_label.h"

#include "base/fail.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* In the order of preference. Q4_K_M first: a quarter
 * of the size for a loss that is hard to find; then what is near it, then the larger ones. */
static const char *const labels[] = {
    "Q4_K_M",   "Q4_K_S",   "Q4_K_L",  "Q4_K_XL", "Q4_K",    "Q4_0",   "Q4_1",   "IQ4_NL",
    "IQ4_XS",   "Q5_K_M",   "Q5_K_S",  "Q5_K_L",  "Q5_K_XL", "Q5_K",   "Q5_0",   "Q5_1",
    "Q6_K",     "Q6_K_L",   "Q6_K_XL", "Q8_0",    "Q8_K_XL", "Q3_K_M", "Q3_K_L", "Q3_K_XL",
    "Q3_K_S",   "Q3_K",     "BF16",    "F16",     "F32",     "IQ3_M",  "IQ3_S",  "IQ3_XS",
    "IQ3_XXS",  "Q2_K",     "Q2_K_S",  "Q2_K_L",  "Q2_K_XL", "IQ2_M",  "IQ2_S",  "IQ2_XS",
    "IQ2_XXS",  "IQ1_M",    "IQ1_S",   "TQ1_0",   "TQ2_0",   "MXFP4",  "NVFP4",  "Q4_0_4_4",
    "Q4_0_4_8", "Q4_0_8_8",
};

/* Other spellings. */
static const char *const synonyms[][2] = {{"FP16", "F16"}, {"FP32", "F32"}};

/* Length of the label's spelling at the start of text[0..len), 0 if it is not there. */
static size_t spelled(const char *label, const char *text, size_t len)
{
    size_t n = strlen(label);
    if (n > len || strncasecmp(label, text, n) != 0)
        return 0;
    return n == len || !isalnum((unsigned char)text[n]) ? n : 0;
}

/* The longest label at the start of text. */
static const char *label_at(const char *text, size_t len, size_t *n)
{
    const char *best = NULL;
    *n = 0;
    for (size_t i = 0; i < RZ_ARRAY_LEN(labels); i++) {
        size_t m = spelled(labels[i], text, len);
        if (m > *n) {
            *n = m;
            best = labels[i];
        }
    }
    for (size_t i = 0; i < RZ_ARRAY_LEN(synonyms); i++) {
        size_t m = spelled(synonyms[i][0], text, len);
        if (m > *n) {
            *n = m;
            best = rz_quant_parse(synonyms[i][1]);
        }
    }
    return best;
}

const char *rz_quant_label(const char *name, size_t len)
{
    const char *found = NULL;
    for (size_t i = 0; i < len; i++) {
        if (i > 0 && isalnum((unsigned char)name[i - 1]))
            continue;
        size_t n;
        const char *label = label_at(name + i, len - i, &n);
        if (label) {
            found = label;
            i += n - 1;
        }
    }
    return found;
}

const char *rz_quant_parse(const char *text)
{
    for (size_t i = 0; i < RZ_ARRAY_LEN(synonyms); i++)
        if (!strcasecmp(text, synonyms[i][0]))
            return rz_quant_parse(synonyms[i][1]);
    for (size_t i = 0; i < RZ_ARRAY_LEN(labels); i++)
        if (!strcasecmp(text, labels[i]))
            return labels[i];
    return NULL;
}

size_t rz_quant_rank(const char *label)
{
    for (size_t i = 0; i < RZ_ARRAY_LEN(labels); i++)
        if (label && !strcmp(label, labels[i]))
            return i;
    return RZ_ARRAY_LEN(labels);
}
