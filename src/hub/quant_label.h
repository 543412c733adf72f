/* quant_label.h - the quantization that a file's name tells. */
#ifndef RZ_HUB_QUANT_LABEL_H
#define RZ_HUB_QUANT_LABEL_H

#include <stdbool.h>
#include <stddef.h>

/* The label in name[0..len) ("Q4_K_M" in "x-1b-instruct-q4_k_m"); the last one if there are
 * several, NULL if there is none. */
const char *rz_quant_label(const char *name, size_t len);

/* The label that text spells ("q4_k_m", "fp16"), NULL if it is none. */
const char *rz_quant_parse(const char *text);

/* Place of a label in the order of preference where nothing was asked for: 0 is best. */
size_t rz_quant_rank(const char *label);

#endif
