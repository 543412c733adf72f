/* pretok_tables.h - character lists of pre-tokenizers that are no Unicode property. */
#ifndef RZ_TOKENIZER_PRETOK_TABLES_H
#define RZ_TOKENIZER_PRETOK_TABLES_H

#include "tokenizer/pretok.h"

enum {
    RZ_PRE_N_CASED_RANGES = 84
};

/* The letters of DeepSeek-LLM's word pattern: cased letters, most of them. */
extern const struct rz_code_range rz_pre_cased_ranges[RZ_PRE_N_CASED_RANGES];

#endif
