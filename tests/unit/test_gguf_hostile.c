/* test_gguf_hostile.c - GGUF files with exactly one thing wrong, each a class of bug that parsers
 * of this format have had (published CVEs, issues of other engines). Every one must be refused with
 * the right status and a sentence that names the file, the field and the byte. */
#include "base/fail.h"
#include "formats/gguf.h"
#include "support/gguf_build.h"

#include <realizar/file.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX64 UINT64_MAX

/* The file that rows corrupt: three keys and two tensors. */
static void begin(struct gguf_build *b)
{
    static const char *const tokens[] = {"a", "bc", "def"};
    gb_init(b);
    gb_string(b, "general.architecture", "qwen2");
    gb_strings(b, "tokenizer.ggml.tokens", tokens, 3);
    gb_f32(b, "some.float", 1.5f);
    gb_tensor_f32(b, "good.one", 2, (const uint64_t[]){2, 8}, NULL);
    gb_tensor_f32(b, "good.two", 1, (const uint64_t[]){8}, NULL);
}

/* A function of a row that is one statement. */
#define CORRUPT(name, statement)                                                                   \
    static void name(struct gguf_build *b)                                                         \
    {                                                                                              \
        statement;                                                                                 \
    }

/* ---- header ---- */

CORRUPT(bad_magic, b->magic[3] = 'G')
CORRUPT(version_0, b->version = 0)
CORRUPT(version_1, b->version = 1)
CORRUPT(version_4, b->version = 4)
CORRUPT(big_endian, b->version = 0x03000000)
CORRUPT(tensors_max, b->n_tensors = MAX64)
CORRUPT(tensors_negative, b->n_tensors = (uint64_t)1 << 63)

/* times any likely struct size wraps to something small */
CORRUPT(tensors_wrap, b->n_tensors = MAX64 / 72 + 1)
CORRUPT(tensors_one_more, b->n_tensors++)
CORRUPT(meta_max, b->n_meta = MAX64)
CORRUPT(meta_wrap, b->n_meta = MAX64 / 64 + 2)

static void meta_many(struct gguf_build *b)
{
    b->n_meta = 20; /* fits the bytes left, but there are fewer */
}

/* ---- keys ---- */

static void raw_key(struct gguf_build *b, uint64_t len, const char *text, size_t n)
{
    b->n_meta++;
    gb_put_u64(&b->meta, len);
    gb_put(&b->meta, text, n);
    gb_put_u32(&b->meta, GB_U8);
    gb_put(&b->meta, "", 1);
}

CORRUPT(key_empty, raw_key(b, 0, "", 0))
CORRUPT(key_max, raw_key(b, MAX64, "evil", 4))
CORRUPT(key_past_end, raw_key(b, 60000, "evil", 4))

static void key_too_long(struct gguf_build *b)
{
    char *text = calloc(1, 70000);
    assert_non_null(text);
    memset(text, 'k', 70000);
    raw_key(b, 70000, text, 70000);
    free(text);
}

CORRUPT(key_not_utf8, raw_key(b, 4, "ev\xC0\xAF", 4))
CORRUPT(key_with_escape, raw_key(b, 4, "ev\x1B[", 4))
CORRUPT(key_with_nul, raw_key(b, 4, "ev\0l", 4))
CORRUPT(key_twice, gb_u32(b, "some.float", 1))

/* ---- values ---- */

static void type_13(struct gguf_build *b)
{
    gb_key(b, "evil", 13);
    gb_put_u64(&b->meta, 0);
}

static void type_max(struct gguf_build *b)
{
    gb_key(b, "evil", UINT32_MAX);
    gb_put_u64(&b->meta, 0);
}

static void bool_2(struct gguf_build *b)
{
    gb_key(b, "evil", GB_BOOL);
    gb_put(&b->meta, "\2", 1);
}

static void string_max(struct gguf_build *b)
{
    gb_key(b, "evil", GB_STRING);
    gb_put_u64(&b->meta, MAX64); /* plus one for a NUL is 0 */
}

static void string_past_end(struct gguf_build *b)
{
    gb_key(b, "evil", GB_STRING);
    gb_put_u64(&b->meta, 100000);
}

CORRUPT(string_not_utf8, gb_string(b, "evil", "ab\xED\xA0\x80"))

static void array_head(struct gguf_build *b, uint32_t type, uint64_t n)
{
    gb_key(b, "evil", GB_ARRAY);
    gb_put_u32(&b->meta, type);
    gb_put_u64(&b->meta, n);
}

CORRUPT(array_type_13, array_head(b, 13, 1))
CORRUPT(array_type_max, array_head(b, UINT32_MAX, 1))
CORRUPT(array_max, array_head(b, GB_U8, MAX64))

static void array_wraps(struct gguf_build *b)
{
    array_head(b, GB_U32, (uint64_t)1 << 62); /* times 4 is 0 */
}

static void array_wraps_to_little(struct gguf_build *b)
{
    array_head(b, GB_F64, ((uint64_t)1 << 61) + 1); /* times 8 is 8 */
}

CORRUPT(array_past_end, array_head(b, GB_U16, 5000))

static void array_bool_2(struct gguf_build *b)
{
    array_head(b, GB_BOOL, 3);
    gb_put(&b->meta, "\0\1\2", 3);
}

CORRUPT(strings_max, array_head(b, GB_STRING, MAX64))

static void strings_wrap(struct gguf_build *b)
{
    array_head(b, GB_STRING, (uint64_t)1 << 61); /* times sizeof(pointer) is 0 */
}

CORRUPT(strings_past_end, array_head(b, GB_STRING, 5000))

static void strings_element_max(struct gguf_build *b)
{
    array_head(b, GB_STRING, 2);
    gb_put_text(&b->meta, "fine");
    gb_put_u64(&b->meta, MAX64);
}

static void strings_element_past_end(struct gguf_build *b)
{
    array_head(b, GB_STRING, 2);
    gb_put_text(&b->meta, "fine");
    gb_put_u64(&b->meta, 100000);
}

static void strings_element_wraps(struct gguf_build *b)
{
    array_head(b, GB_STRING, 2);
    gb_put_text(&b->meta, "fine");
    gb_put_u64(&b->meta, MAX64 - 7); /* plus its own length field is 0 */
}

static void nest(struct gguf_build *b, size_t depth)
{
    gb_key(b, "evil", GB_ARRAY);
    for (size_t i = 0; i < depth; i++) {
        gb_put_u32(&b->meta, GB_ARRAY);
        gb_put_u64(&b->meta, 1);
    }
    gb_put_u32(&b->meta, GB_U8);
    gb_put_u64(&b->meta, 0);
}

CORRUPT(nested_too_deep, nest(b, GGUF_MAX_ARRAY_DEPTH))
CORRUPT(nested_bomb, nest(b, 1000000))
CORRUPT(nested_wide, array_head(b, GB_ARRAY, MAX64 / 12))

static void nested_element_past_end(struct gguf_build *b)
{
    array_head(b, GB_ARRAY, 1);
    gb_put_u32(&b->meta, GB_STRING);
    gb_put_u64(&b->meta, 1);
    gb_put_u64(&b->meta, MAX64);
}

/* ---- alignment ---- */

CORRUPT(alignment_0, gb_u32(b, "general.alignment", 0))
CORRUPT(alignment_1, gb_u32(b, "general.alignment", 1))
CORRUPT(alignment_48, gb_u32(b, "general.alignment", 48))
CORRUPT(alignment_huge, gb_u32(b, "general.alignment", 0x80000000u))
CORRUPT(alignment_max, gb_u32(b, "general.alignment", UINT32_MAX))
CORRUPT(alignment_u64, gb_u64(b, "general.alignment", 32))
CORRUPT(alignment_string, gb_string(b, "general.alignment", "32"))

static void alignment_array(struct gguf_build *b)
{
    const uint32_t n = 32;
    gb_numbers(b, "general.alignment", GB_U32, &n, 1);
}

/* The data section then begins beyond the file's end. */
static void alignment_past_end(struct gguf_build *b)
{
    gb_u32(b, "general.alignment", 65536);
    b->infos.len = 0;
    b->n_tensors = 0;
    gb_info(b, "good.one", 1, (const uint64_t[]){8}, 0, 0);
}

CORRUPT(split_no_string, gb_string(b, "split.no", "0"))
CORRUPT(split_count_negative, gb_i32(b, "split.count", -1))
CORRUPT(split_count_huge, gb_u64(b, "split.count", MAX64))
CORRUPT(split_in_memory, gb_u16(b, "split.count", 2))

/* ---- tensors ---- */

#define DIMS(...)                                                                                  \
    (const uint64_t[])                                                                             \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static void raw_name(struct gguf_build *b, uint64_t len, const char *text, size_t n)
{
    b->n_tensors++;
    gb_put_u64(&b->infos, len);
    gb_put(&b->infos, text, n);
    gb_put_u32(&b->infos, 1);
    gb_put_u64(&b->infos, 8);
    gb_put_u32(&b->infos, 0);
    gb_put_u64(&b->infos, 0);
}

CORRUPT(name_empty, raw_name(b, 0, "", 0))
CORRUPT(name_max, raw_name(b, MAX64, "evil", 4))
CORRUPT(name_past_end, raw_name(b, 200, "evil", 4))

static void name_too_long(struct gguf_build *b)
{
    char text[256];
    memset(text, 'n', sizeof text);
    raw_name(b, sizeof text, text, sizeof text);
}

CORRUPT(name_not_utf8, raw_name(b, 4, "ev\xFF\xFF", 4))
CORRUPT(name_twice, gb_tensor_f32(b, "good.one", 1, DIMS(8), NULL))
CORRUPT(dims_0, gb_info(b, "evil", 0, NULL, 0, 96))
CORRUPT(dims_5, gb_info(b, "evil", 5, DIMS(1, 1, 1, 1, 1), 0, 96))

static void dims_max(struct gguf_build *b)
{
    b->n_tensors++;
    gb_put_text(&b->infos, "evil");
    gb_put_u32(&b->infos, UINT32_MAX);
    gb_put(&b->infos, NULL, 64);
}

CORRUPT(dim_zero_first, gb_info(b, "evil", 2, DIMS(0, 8), 0, 96))
CORRUPT(dim_zero_last, gb_info(b, "evil", 4, DIMS(8, 1, 1, 0), 0, 96))
CORRUPT(dim_negative, gb_info(b, "evil", 1, DIMS((uint64_t)1 << 63), 0, 96))
CORRUPT(dim_max, gb_info(b, "evil", 1, DIMS(MAX64), 0, 96))

static void dims_wrap_to_zero(struct gguf_build *b)
{
    gb_info(b, "evil", 2, DIMS((uint64_t)1 << 32, (uint64_t)1 << 32), 0, 96);
}

static void dims_wrap_to_little(struct gguf_build *b)
{
    /* (2^33 + 1) * 2^31 + ... : the product of the first three is 2^64 + 8 */
    gb_info(b, "evil", 4, DIMS(8, ((uint64_t)1 << 61) + 1, 1, 1), 0, 96);
}

CORRUPT(dims_wrap_signed, gb_info(b, "evil", 2, DIMS(2, (uint64_t)1 << 62), 0, 96))

/* The number of elements fits, times four bytes does not. */
CORRUPT(bytes_wrap, gb_info(b, "evil", 1, DIMS((uint64_t)1 << 62), 0, 96))

static void bytes_wrap_in_rows(struct gguf_build *b)
{
    gb_info(b, "evil", 2, DIMS(32, ((uint64_t)1 << 58) - 1), 3, 96); /* Q4_1: 20 bytes a row */
}

CORRUPT(row_not_whole_blocks, gb_info(b, "evil", 2, DIMS(896 + 16, 2), 12, 96))
CORRUPT(type_unknown, gb_info(b, "evil", 1, DIMS(8), 255, 96))
CORRUPT(type_negative, gb_info(b, "evil", 1, DIMS(8), UINT32_MAX, 96))
CORRUPT(type_iq2_xxs, gb_info(b, "evil", 1, DIMS(256), 16, 96))
CORRUPT(type_mxfp4, gb_info(b, "evil", 1, DIMS(256), 39, 96))
CORRUPT(type_tq1_0, gb_info(b, "evil", 1, DIMS(256), 34, 96))
CORRUPT(offset_unaligned, gb_info(b, "evil", 1, DIMS(8), 0, 100))
CORRUPT(offset_past_end, gb_info(b, "evil", 1, DIMS(8), 0, 4096))

static void offset_last_byte_past_end(struct gguf_build *b)
{
    gb_info(b, "evil", 1, DIMS(9), 0, 64);
    gb_put(&b->data, NULL, 3); /* good.two ends at 96; evil would at 100, the file at 99 */
}

/* Plus the data section's start it wraps to the front of the file. */
CORRUPT(offset_wraps, gb_info(b, "evil", 1, DIMS(8), 0, MAX64 - 31))

/* Offset and size each fit, their sum does not. */
static void end_wraps(struct gguf_build *b)
{
    gb_info(b, "evil", 1, DIMS((uint64_t)1 << 60), 0, MAX64 - ((uint64_t)1 << 62) + 1);
}

static void sizes_accumulate(struct gguf_build *b)
{
    const uint64_t n = (uint64_t)1 << 60; /* 2^62 bytes each: five of them wrap */
    for (uint64_t i = 0; i < 5; i++) {
        char name[16];
        snprintf(name, sizeof name, "evil.%u", (unsigned)i);
        gb_info(b, name, 1, DIMS(n), 0, 96 + i * 4 * n);
    }
}

CORRUPT(overlap_same, gb_info(b, "evil", 1, DIMS(8), 0, 64))

static void overlap_inside(struct gguf_build *b)
{
    gb_info(b, "evil", 1, DIMS(1), 0, 32); /* in the middle of good.one */
}

CORRUPT(overlap_around, gb_info(b, "evil", 1, DIMS(24), 0, 0))

static void infos_cut(struct gguf_build *b)
{
    b->n_tensors++;
    gb_put_text(&b->infos, "evil");
    b->data.len = 0;
}

CORRUPT(data_missing, b->data.len = 0)

struct row {
    const char *class; /* the published bug of this kind, or what it is */
    void (*corrupt)(struct gguf_build *b);
    rz_status status;
    const char *field, *says;
};

#define BAD RZ_EFORMAT

static const struct row rows[] = {
    {"not GGUF", bad_magic, BAD, "magic at byte 0", "not \"GGUF\""},
    {"version", version_0, BAD, "version at byte 4", "0 is not supported"},
    {"version", version_1, BAD, "version at byte 4", "1 is not supported"},
    {"version", version_4, BAD, "version at byte 4", "4 is not supported"},
    {"byte order", big_endian, BAD, "version at byte 4", "big-endian GGUF file (version 3)"},
    {"CVE-2024-23605 n_tensors", tensors_max, BAD, "tensor count at byte 8", "do not fit"},
    {"CVE-2024-21836 n_tensors", tensors_negative, BAD, "tensor count at byte 8", "do not fit"},
    {"CVE-2024-21836 n_tensors", tensors_wrap, BAD, "tensor count at byte 8", "do not fit"},
    {"count too large", tensors_one_more, BAD, "tensor 2 of 3", "must be 1 to 255"},
    {"CVE-2024-21825 n_kv", meta_max, BAD, "metadata count at byte 16", "do not fit"},
    {"CVE-2024-23605 n_kv", meta_wrap, BAD, "metadata count at byte 16", "do not fit"},
    {"count too large", meta_many, BAD, "key 4 of 20", "must be 1 to 65535"},
    {"key length", key_empty, BAD, "key 3 of 4", "length 0"},
    {"CVE-2024-23496 length + 1", key_max, BAD, "key 3 of 4", "18446744073709551615"},
    {"CVE-2025-66959 length", key_past_end, BAD, "key 3 of 4", "needs 60000 bytes"},
    {"key length", key_too_long, BAD, "key 3 of 4", "length 70000"},
    {"overlong UTF-8", key_not_utf8, BAD, "key 3 of 4", "UTF-8"},
    {"terminal escape", key_with_escape, BAD, "key 3 of 4", "control"},
    {"NUL in a key", key_with_nul, BAD, "key 3 of 4", "control"},
    {"duplicate key", key_twice, BAD, "key some.float", "twice"},
    {"value type", type_13, BAD, "key evil", "type 13 is unknown"},
    {"value type", type_max, BAD, "key evil", "type 4294967295 is unknown"},
    {"bool", bool_2, BAD, "key evil", "bool is 2"},
    {"CVE-2024-23496 length + 1", string_max, BAD, "key evil", "18446744073709551615"},
    {"CVE-2025-66960 length", string_past_end, BAD, "key evil", "length 100000"},
    {"surrogate in UTF-8", string_not_utf8, BAD, "key evil", "not UTF-8"},
    {"CVE-2025-1975 array type", array_type_13, BAD, "key evil", "type 13 is unknown"},
    {"CVE-2025-1975 array type", array_type_max, BAD, "key evil", "type 4294967295 is unknown"},
    {"CVE-2024-21802 array count", array_max, BAD, "key evil", "18446744073709551615 u8"},
    {"CVE-2024-23605 count * size", array_wraps, BAD, "key evil", "4611686018427387904 u32"},
    {"CVE-2024-23605 count * size", array_wraps_to_little, BAD, "key evil", "f64"},
    {"CVE-2024-12055 array count", array_past_end, BAD, "key evil", "5000 u16"},
    {"bool", array_bool_2, BAD, "key evil", "bool is 2"},
    {"CVE-2024-23605 string count", strings_max, BAD, "key evil", "string"},
    {"CVE-2024-25666 string count", strings_wrap, BAD, "key evil", "string"},
    {"CVE-2025-0315 allocation", strings_past_end, BAD, "key evil", "5000 string"},
    {"CVE-2024-25665 string length", strings_element_max, BAD, "key evil", "string 1 of 2"},
    {"CVE-2024-25665 string length", strings_element_past_end, BAD, "key evil", "string 1 of 2"},
    {"CVE-2024-25665 string length", strings_element_wraps, BAD, "key evil", "string 1 of 2"},
    {"recursion", nested_too_deep, BAD, "key evil", "deeper than 4"},
    {"recursion", nested_bomb, BAD, "key evil", "deeper than 4"},
    {"array of arrays", nested_wide, BAD, "key evil", "array"},
    {"array of arrays", nested_element_past_end, BAD, "key evil", "string 0 of 1"},
    {"CVE-2025-0317 division by 0", alignment_0, BAD, "key general.alignment", "0, must be"},
    {"alignment", alignment_1, BAD, "key general.alignment", "1, must be a power of two"},
    {"alignment", alignment_48, BAD, "key general.alignment", "48, must be a power of two"},
    {"huge alignment, ggml#1516", alignment_huge, BAD, "key general.alignment", "2147483648"},
    {"CVE-2026-33298 padding", alignment_max, BAD, "key general.alignment", "4294967295"},
    {"alignment's type", alignment_u64, BAD, "key general.alignment", "of type u64, must be u32"},
    {"alignment's type", alignment_string, BAD, "key general.alignment", "of type string"},
    {"alignment's type", alignment_array, BAD, "key general.alignment", "of type array"},
    {"data beyond the file", alignment_past_end, BAD, "tensor good.one", "end after"},
    {"split type", split_no_string, BAD, "key split.no", "of type string"},
    {"split range", split_count_negative, BAD, "key split.count", "-1, must be 0 to"},
    {"split range", split_count_huge, BAD, "key split.count", "must be 0 to"},
    {"split", split_in_memory, BAD, "key split.count", "shard"},
    {"name length", name_empty, BAD, "tensor 2 of 3", "length 0"},
    {"CVE-2024-23496 length + 1", name_max, BAD, "tensor 2 of 3", "18446744073709551615"},
    {"name length", name_past_end, BAD, "tensor 2 of 3", "needs 200 bytes"},
    {"name length", name_too_long, BAD, "tensor 2 of 3", "length 256"},
    {"name", name_not_utf8, BAD, "tensor 2 of 3", "UTF-8"},
    {"duplicate name", name_twice, BAD, "tensor good.one", "twice"},
    {"CVE-2025-0312 no dimensions", dims_0, BAD, "tensor evil", "0 dimensions"},
    {"CVE-2024-21802 n_dims", dims_5, BAD, "tensor evil", "5 dimensions"},
    {"CVE-2024-21802 n_dims", dims_max, BAD, "tensor evil", "4294967295 dimensions"},
    {"zero dim, SIGFPE", dim_zero_first, BAD, "tensor evil", "dimension 0 is 0"},
    {"zero dim, SIGFPE", dim_zero_last, BAD, "tensor evil", "dimension 3 is 0"},
    {"negative dim", dim_negative, BAD, "tensor evil", "more than 2^63 elements"},
    {"negative dim", dim_max, BAD, "tensor evil", "more than 2^63 elements"},
    {"CVE-2026-33298 nbytes", dims_wrap_to_zero, BAD, "tensor evil", "more than 2^63 elements"},
    {"CVE-2026-33298 nbytes", dims_wrap_to_little, BAD, "tensor evil", "more than 2^63 elements"},
    {"CVE-2026-33298 nbytes", dims_wrap_signed, BAD, "tensor evil", "more than 2^63 elements"},
    {"CVE-2026-33298 nbytes", bytes_wrap, BAD, "tensor evil", "more than 2^63 bytes"},
    {"CVE-2026-33298 nbytes", bytes_wrap_in_rows, BAD, "tensor evil", "end after"},
    {"partial block", row_not_whole_blocks, BAD, "tensor evil", "912 are not whole Q4_K blocks"},
    {"CVE-2024-41130 no such type", type_unknown, BAD, "tensor evil", "type 255 is unknown"},
    {"CVE-2024-41130 no such type", type_negative, BAD, "tensor evil", "4294967295 is unknown"},
    {"type", type_iq2_xxs, RZ_ELOAD, "tensor evil", "type IQ2_XXS (16) is not supported"},
    {"type", type_mxfp4, RZ_ELOAD, "tensor evil", "type MXFP4 (39) is not supported"},
    {"type", type_tq1_0, RZ_ELOAD, "tensor evil", "type TQ1_0 (34) is not supported"},
    {"offset", offset_unaligned, BAD, "tensor evil", "100 is not a multiple"},
    {"CVE-2024-25664 out of the file", offset_past_end, BAD, "tensor evil", "end after"},
    {"CVE-2026-7482 out of the file", offset_last_byte_past_end, BAD, "tensor evil", "end after"},
    {"CVE-2026-27940 wrap", offset_wraps, BAD, "tensor evil", "end after"},
    {"CVE-2026-27940 wrap", end_wraps, BAD, "tensor evil", "end after"},
    {"CVE-2025-53630 accumulated", sizes_accumulate, BAD, "tensor evil.0", "end after"},
    {"overlap", overlap_same, BAD, "tensor evil", "overlaps"},
    {"overlap", overlap_inside, BAD, "tensor evil", "overlaps"},
    {"overlap", overlap_around, BAD, "tensor good.one", "overlaps"},
    {"truncated", infos_cut, BAD, "tensor evil", "the file ends"},
    {"truncated", data_missing, BAD, "tensor good.one", "end after"},
};

/* The bytes as an allocation of exactly their size, so that a read beyond is seen. */
static uint8_t *exact_copy(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, data, len);
    return copy;
}

static void check_row(const struct row *row)
{
    struct gguf_build b;
    size_t len;
    rz_error err = {0};
    rz_file *file = (rz_file *)&err;
    begin(&b);
    row->corrupt(&b);
    gb_build(&b, &len);
    uint8_t *data = exact_copy(b.file.data, len);
    rz_status status = rz_gguf_open_memory(&file, "hostile.gguf", data, len, &err);
    if (status != row->status || !strstr(err.text, row->field) || !strstr(err.text, row->says) ||
        strncmp(err.text, "hostile.gguf: ", 14) != 0 || !strstr(err.text, "byte"))
        fail_msg("%s (row %d): status %d, \"%s\", wanted %s ... %s", row->class, (int)(row - rows),
                 (int)status, err.text, row->field, row->says);
    assert_int_equal(err.code, status);
    assert_null(file);
    /* Without an error to fill, the same. */
    assert_int_equal(rz_gguf_open_memory(&file, "hostile.gguf", data, len, NULL), row->status);
    free(data);
    gb_fini(&b);
}

static void every_row_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < RZ_ARRAY_LEN(rows); i++)
        check_row(&rows[i]);
}

static void the_base_file_is_good(void **state)
{
    (void)state;
    struct gguf_build b;
    size_t len;
    rz_error err = {0};
    rz_file *file = NULL;
    begin(&b);
    gb_build(&b, &len);
    assert_int_equal(rz_gguf_open_memory(&file, "good.gguf", b.file.data, len, &err), RZ_OK);
    rz_file_close(&file);
    gb_fini(&b);
}

static void truncated_at_every_byte(void **state)
{
    (void)state;
    struct gguf_build b;
    size_t len;
    begin(&b);
    gb_build(&b, &len);
    for (size_t n = 0; n < len; n++) {
        uint8_t *data = exact_copy(b.file.data, n);
        rz_error err = {0};
        rz_file *file = NULL;
        assert_int_equal(rz_gguf_open_memory(&file, "cut.gguf", data, n, &err), RZ_EFORMAT);
        assert_int_equal(strncmp(err.text, "cut.gguf: ", 10), 0);
        assert_null(file);
        free(data);
    }
    gb_fini(&b);
}

static uint64_t touch(const rz_file *file)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < rz_file_n_meta(file); i++) {
        const rz_meta *m = rz_file_meta_at(file, i);
        for (uint64_t k = 0; k < m->count && m->elem_type != RZ_META_ARRAY; k++) {
            if (m->elem_type == RZ_META_STRING)
                sum += rz_meta_string(m, k).len;
            else
                sum += rz_meta_float(m, k) > 0 ? 1 : 0;
        }
    }
    for (size_t i = 0; i < rz_file_n_tensors(file); i++) {
        const rz_tensor *t = rz_file_tensor_at(file, i);
        const uint8_t *bytes = t->data;
        for (size_t k = 0; k < t->n_bytes; k++)
            sum += bytes[k];
    }
    return sum;
}

/* Every byte set to each of a few values: refused, or a file whose every byte may be read. */
static void damaged_at_every_byte(void **state)
{
    (void)state;
    static const uint8_t values[] = {0x00, 0x01, 0x7F, 0x80, 0xFF};
    struct gguf_build b;
    size_t len, n_open = 0, n_refused = 0;
    uint64_t sum = 0;
    begin(&b);
    gb_build(&b, &len);
    uint8_t *data = exact_copy(b.file.data, len);
    for (size_t at = 0; at < len; at++) {
        for (size_t v = 0; v < RZ_ARRAY_LEN(values); v++) {
            rz_file *file = NULL;
            rz_error err = {0};
            data[at] = values[v];
            rz_status status = rz_gguf_open_memory(&file, "bad.gguf", data, len, &err);
            assert_true(status == RZ_OK || status == RZ_EFORMAT || status == RZ_ELOAD);
            n_open += status == RZ_OK;
            n_refused += status != RZ_OK;
            if (!status)
                sum += touch(file);
            rz_file_close(&file);
        }
        data[at] = b.file.data[at];
    }
    assert_true(n_open > 0 && n_refused > 0 && sum > 0);
    free(data);
    gb_fini(&b);
}

/* A file cannot claim, by its types, to be what a caller did not ask for (llama.cpp#24888: scores
 * that were an array of another type were read as floats). */
static void element_types_are_not_confused(void **state)
{
    (void)state;
    struct gguf_build b;
    size_t len;
    const uint8_t few[3] = {1, 2, 3};
    rz_file *file = NULL;
    const rz_meta *array = NULL;
    rz_error err = {0};
    begin(&b);
    gb_numbers(&b, "tokenizer.ggml.scores", GB_U8, few, 3);
    gb_string(&b, "tokenizer.ggml.merges", "not an array");
    gb_build(&b, &len);
    assert_int_equal(rz_gguf_open_memory(&file, "x.gguf", b.file.data, len, &err), RZ_OK);
    assert_int_equal(
        rz_file_get_array(file, "tokenizer.ggml.scores", RZ_META_F32, &array, NULL, &err),
        RZ_EFORMAT);
    assert_non_null(strstr(err.text, "is an array of u8, must be an array of f32"));
    assert_int_equal(
        rz_file_get_array(file, "tokenizer.ggml.merges", RZ_META_STRING, &array, NULL, &err),
        RZ_EFORMAT);
    assert_non_null(strstr(err.text, "is of type string, must be an array of string"));
    assert_null(array);
    rz_file_close(&file);
    gb_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_base_file_is_good),          cmocka_unit_test(every_row_is_refused),
        cmocka_unit_test(truncated_at_every_byte),        cmocka_unit_test(damaged_at_every_byte),
        cmocka_unit_test(element_types_are_not_confused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
