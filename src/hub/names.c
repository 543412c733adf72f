/* names.c - the characters and shapes of names that may become paths. Whatever is not allowed
 * here never reaches the file system: there is no cleaning, only refusal. */
#include "hub/names.h"

#include "base/utf8.h"

#include <realizar/hub.h>
#include <string.h>

enum {
    PART_MAX = 180, /* bytes; leaves room for the suffixes of an unfinished file in 255 */
    PARTS_MAX = 8
};

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Hugging Face's rule. As no word ends in '-', "org--repo" is split at its first "--". */
static bool is_word(const char *text, size_t len)
{
    if (len == 0 || !is_alnum(text[0]) || strchr(".-", text[len - 1]))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_alnum(text[i]) && text[i] != '.' && text[i] != '_' && text[i] != '-')
            return false;
        if (i > 0 && text[i] == text[i - 1] && (text[i] == '.' || text[i] == '-'))
            return false;
    }
    return true;
}

bool rz_name_is_repo(const char *text, size_t len)
{
    const char *slash = memchr(text, '/', len);
    if (!slash || len >= RZ_HUB_NAME_MAX)
        return false;
    size_t org = (size_t)(slash - text);
    return is_word(text, org) && is_word(slash + 1, len - org - 1);
}

bool rz_name_is_revision(const char *text)
{
    size_t len = strlen(text);
    if (len == 0 || len >= RZ_HUB_NAME_MAX || strstr(text, ".."))
        return false;
    for (size_t i = 0; i < len; i++) {
        bool starts = i == 0 || text[i - 1] == '/';
        if (!is_alnum(text[i]) && (starts || !strchr("._-/", text[i])))
            return false;
    }
    return text[len - 1] != '/';
}

bool rz_name_is_hex(const char *text, size_t n)
{
    return strlen(text) == n && strspn(text, "0123456789abcdef") == n;
}

bool rz_name_is_commit(const char *text)
{
    return rz_name_is_hex(text, 40);
}

static bool ends_with(const char *text, size_t len, const char *end)
{
    size_t n = strlen(end);
    return len >= n && !memcmp(text + len - n, end, n);
}

bool rz_name_is_file(const char *text)
{
    size_t len = strlen(text);
    if (len == 0 || len >= RZ_HUB_FILE_MAX || rz_utf8_valid(text, len) != len ||
        ends_with(text, len, RZ_PARTIAL_SUFFIX))
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F || text[i] == '\\')
            return false;
    unsigned n_parts = 0;
    for (const char *part = text;; part++) {
        size_t n = strcspn(part, "/");
        if (n == 0 || n > PART_MAX || ++n_parts > PARTS_MAX)
            return false;
        if (part[0] == '.' && (n == 1 || (n == 2 && part[1] == '.')))
            return false;
        part += n;
        if (!*part)
            return true;
    }
}

bool rz_name_escape(struct rz_buf *out, const char *text, bool keep_slash)
{
    for (; *text; text++) {
        if (is_alnum(*text) || strchr("-._~", *text) || (keep_slash && *text == '/'))
            rz_buf_char(out, *text);
        else
            rz_buf_printf(out, "%%%02X", (unsigned char)*text);
    }
    return !out->failed;
}
