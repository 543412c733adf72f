/* fuzz_tokenizer_meta.c - any bytes as a GGUF file whose tokenizer is built: refused with a
 * sentence, or it encodes and decodes without fault, and every id it gives is in its vocabulary. */
#include "formats/gguf.h"

#include <realizar/tokenizer.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void use(const rz_tokenizer *tok)
{
    static const char text[] =
        "Hello  world's <|im_end|> 123 \xC3\xA9\xE4\xB8\xAD\n\n<s>abababab "
        "e\xCC\x81 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    uint32_t n = rz_tokenizer_n_vocab(tok);
    rz_error err = {0};
    rz_ids ids = {0};
    rz_text out = {0};
    rz_detok d;
    for (unsigned flags = 0; flags < 4; flags++) {
        rz_status status = rz_tokenizer_encode(tok, text, sizeof text - 1, flags, &ids, &err);
        CHECK(!status || err.text[0]);
    }
    for (size_t i = 0; i < ids.len; i++)
        CHECK(ids.data[i] >= 0 && (uint32_t)ids.data[i] < n);
    rz_detok_init(&d, tok, true);
    for (int32_t id = -1; id <= (int32_t)n && id < 5000; id++) {
        rz_slice bytes = rz_tokenizer_bytes(tok, id);
        CHECK(bytes.len == 0 || (uint8_t)bytes.data[0] + (uint8_t)bytes.data[bytes.len - 1] >= 0);
        CHECK(!rz_detok_feed(&d, id, &out, NULL));
        rz_tokenizer_is_end(tok, id);
    }
    CHECK(!rz_detok_finish(&d, &out, NULL));
    CHECK(rz_tokenizer_bos(tok) < (int32_t)n && rz_tokenizer_eos(tok) < (int32_t)n);
    rz_tokenizer_find(tok, "<|im_end|>");
    rz_tokenizer_find(tok, "ab");
    rz_text_free(&out);
    rz_ids_free(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rz_file *file = NULL;
    rz_tokenizer *tok = NULL;
    rz_error err = {0};
    if (rz_gguf_open_memory(&file, "fuzz", data, size, &err))
        return 0;
    rz_status status = rz_tokenizer_new(&tok, file, &err);
    CHECK((status == RZ_OK) == (tok != NULL));
    CHECK(!status || (err.code == status && err.text[0]));
    if (tok)
        use(tok);
    rz_tokenizer_free(&tok);
    rz_file_close(&file);
    return 0;
}
