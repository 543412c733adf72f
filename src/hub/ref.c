/* ref.c - references to models: hf://org/repo[@rev][/file][:quant], org/repo[@rev][:quant], URLs
 * and aliases. Everything that passes here is safe to become a part of a path or a URL. */
#include "base/fail.h"
#include "hub/names.h"
#include "hub/quant_label.h"

#include <realizar/hub.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_ENDPOINT "https://huggingface.co"
#define QWEN_CODER(size) "Qwen/Qwen2.5-Coder-" size "-Instruct-GGUF"

/* Quantized files of their makers; the quantization is the default one unless it is asked for. */
static const char *const aliases[][2] = {
    {"tiny", QWEN_CODER("0.5B")},
    {"small", QWEN_CODER("1.5B")},
    {"medium", QWEN_CODER("7B")},
    {"large", QWEN_CODER("32B")},
    {"qwen2.5-coder:0.5b", QWEN_CODER("0.5B")},
    {"qwen2.5-coder:1.5b", QWEN_CODER("1.5B")},
    {"qwen2.5-coder:3b", QWEN_CODER("3B")},
    {"qwen2.5-coder:7b", QWEN_CODER("7B")},
    {"qwen2.5-coder:14b", QWEN_CODER("14B")},
    {"qwen2.5-coder:32b", QWEN_CODER("32B")},
};

const char *rz_hub_alias(size_t i, const char **repo)
{
    if (i >= RZ_ARRAY_LEN(aliases))
        return NULL;
    *repo = aliases[i][1];
    return aliases[i][0];
}

static const char *find_alias(const char *text)
{
    for (size_t i = 0; i < RZ_ARRAY_LEN(aliases); i++)
        if (!strcasecmp(text, aliases[i][0]))
            return aliases[i][1];
    return NULL;
}

static bool starts_with(const char *text, const char *start)
{
    return !strncasecmp(text, start, strlen(start));
}

static bool is_http(const char *text)
{
    return starts_with(text, "http://") || starts_with(text, "https://");
}

/* Names of files that a typing error makes more likely than a repository of that name. */
static bool ends_as_file(const char *text)
{
    static const char *const ends[] = {".gguf", ".safetensors", ".apr", ".json", ".bin"};
    size_t len = strlen(text);
    for (size_t i = 0; i < RZ_ARRAY_LEN(ends); i++) {
        size_t n = strlen(ends[i]);
        if (len >= n && !strcasecmp(text + len - n, ends[i]))
            return true;
    }
    return false;
}

bool rz_hub_is_ref(const char *text)
{
    if (starts_with(text, "hf://") || is_http(text) || find_alias(text))
        return true;
    return rz_name_is_repo(text, strcspn(text, "@:")) && !ends_as_file(text);
}

static rz_status bad_ref(const char *text, const char *why, rz_error *err)
{
    return rz_fail(err, RZ_EUSAGE,
                   "%s: %s; a model is org/repo[@REVISION][:QUANT], hf://org/repo[/FILE], a URL or "
                   "an alias (`apr help pull`)",
                   text, why);
}

/* Copies text[0..len) to a field of size max, whose limit the caller has checked or checks here. */
static bool copy(char *out, size_t max, const char *text, size_t len)
{
    if (len >= max)
        return false;
    memcpy(out, text, len);
    out[len] = '\0';
    return true;
}

/* The revision and quantization that follow a repository: "[@REV][:QUANT]". */
static rz_status parse_suffix(rz_hub_ref *ref, const char *whole, const char *text, rz_error *err)
{
    if (*text == '@') {
        size_t n = strcspn(++text, ":");
        if (!copy(ref->revision, sizeof ref->revision, text, n) ||
            !rz_name_is_revision(ref->revision))
            return bad_ref(whole, "what follows '@' is no revision", err);
        text += n;
    }
    if (*text == ':') {
        const char *label = rz_quant_parse(text + 1);
        if (!label)
            return bad_ref(whole, "what follows ':' is no quantization", err);
        return rz_hub_ref_set(ref, NULL, label, err);
    }
    return *text ? bad_ref(whole, "this is not a repository's name", err) : RZ_OK;
}

static rz_status parse_hf(rz_hub_ref *ref, const char *whole, const char *text, rz_error *err)
{
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) + 1 + strcspn(slash + 1, "/@:") : 0;
    if (!n || !rz_name_is_repo(text, n))
        return bad_ref(whole, "hf:// is followed by org/repo", err);
    copy(ref->repo, sizeof ref->repo, text, n);
    text += n;
    const char *file = strchr(text, '/');
    /* A revision may hold slashes, but none is expected where a file follows. */
    if (*text == '@' && file) {
        if (!copy(ref->revision, sizeof ref->revision, text + 1, (size_t)(file - text) - 1) ||
            !rz_name_is_revision(ref->revision))
            return bad_ref(whole, "what follows '@' is no revision", err);
        text = file;
    }
    if (*text != '/' || !text[1])
        return parse_suffix(ref, whole, *text == '/' ? text + 1 : text, err);
    if (!rz_name_is_file(text + 1))
        return bad_ref(whole, "this is no file's name in a repository", err);
    copy(ref->file, sizeof ref->file, text + 1, strlen(text + 1));
    return RZ_OK;
}

/* The last part of a URL's path, as the name of the file: RZ_EUSAGE if there is none. */
static rz_status parse_url(rz_hub_ref *ref, const char *text, rz_error *err)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] <= 0x20 || text[i] == 0x7F)
            return bad_ref(text, "a URL has no spaces or control characters", err);
    if (!copy(ref->url, sizeof ref->url, text, strcspn(text, "#")))
        return bad_ref(text, "the URL is too long", err);
    const char *host = strstr(text, "://") + 3;
    size_t end = strcspn(host, "?#"), start = end;
    while (start > 0 && host[start - 1] != '/')
        start--;
    const char *name = host + start;
    if (memchr(host, '@', strcspn(host, "/?#")))
        return bad_ref("the URL", "a URL with a user's name in it is not taken", err);
    if (start == 0 || !copy(ref->file, sizeof ref->file, name, end - start) ||
        strchr(ref->file, '%') || !rz_name_is_file(ref->file))
        return bad_ref(text, "the URL does not end in a file's name", err);
    return RZ_OK;
}

/* The rest of a URL after the endpoint: /org/repo[/(resolve|blob|raw|tree)/REV[/FILE]]. False if it
 * is not of this form, so that it is a URL like any other. */
static bool parse_page(rz_hub_ref *ref, const char *text)
{
    static const char *const views[] = {"resolve/", "blob/", "raw/", "tree/"};
    const char *slash = strchr(text, '/');
    if (!slash || strpbrk(text, "#%"))
        return false;
    size_t len = strcspn(text, "?");
    size_t n = (size_t)(slash - text) + 1 + strcspn(slash + 1, "/?");
    if (!rz_name_is_repo(text, n))
        return false;
    rz_hub_ref r = {0};
    copy(r.repo, sizeof r.repo, text, n);
    if (n < len && n + 1 < len) {
        const char *rest = text + n + 1;
        size_t i = 0;
        while (i < RZ_ARRAY_LEN(views) && strncmp(rest, views[i], strlen(views[i])) != 0)
            i++;
        if (i == RZ_ARRAY_LEN(views))
            return false;
        rest += strlen(views[i]);
        size_t rev = strcspn(rest, "/?");
        if (!copy(r.revision, sizeof r.revision, rest, rev) || !rz_name_is_revision(r.revision))
            return false;
        const char *file = rest[rev] == '/' ? rest + rev + 1 : rest + rev;
        size_t file_len = (size_t)(text + len - file);
        if (file_len &&
            (i == 3 || !copy(r.file, sizeof r.file, file, file_len) || !rz_name_is_file(r.file)))
            return false;
    }
    *ref = r;
    return true;
}

rz_status rz_hub_ref_parse(rz_hub_ref *ref, const char *text, const char *endpoint, rz_error *err)
{
    *ref = (rz_hub_ref){0};
    if (!endpoint)
        endpoint = DEFAULT_ENDPOINT;
    const char *repo = find_alias(text);
    if (repo) {
        copy(ref->repo, sizeof ref->repo, repo, strlen(repo));
        return RZ_OK;
    }
    if (starts_with(text, "hf://"))
        return parse_hf(ref, text, text + 5, err);
    if (is_http(text)) {
        size_t n = strlen(endpoint);
        while (n > 0 && endpoint[n - 1] == '/')
            n--;
        if (!strncasecmp(text, endpoint, n) && text[n] == '/' && parse_page(ref, text + n + 1))
            return RZ_OK;
        return parse_url(ref, text, err);
    }
    size_t n = strcspn(text, "@:");
    if (!rz_name_is_repo(text, n))
        return bad_ref(text, "this is not a repository's name", err);
    copy(ref->repo, sizeof ref->repo, text, n);
    return parse_suffix(ref, text, text + n, err);
}

rz_status rz_hub_ref_set(rz_hub_ref *ref, const char *revision, const char *quant, rz_error *err)
{
    if (((revision && *revision) || (quant && *quant)) && !*ref->repo)
        return rz_fail(err, RZ_EUSAGE, "a URL has neither a revision nor a quantization to choose");
    if (revision && *revision) {
        if (!rz_name_is_revision(revision))
            return rz_fail(err, RZ_EUSAGE, "'%s' is no branch, tag or commit", revision);
        if (*ref->revision && strcmp(ref->revision, revision) != 0)
            return rz_fail(err, RZ_EUSAGE, "the reference says revision %s, and --revision %s",
                           ref->revision, revision);
        copy(ref->revision, sizeof ref->revision, revision, strlen(revision));
    }
    if (quant && *quant) {
        const char *label = rz_quant_parse(quant);
        if (!label)
            return rz_fail(err, RZ_EUSAGE,
                           "'%s' is no quantization; it is one of Q4_K_M, Q8_0, F16 and the like",
                           quant);
        if (*ref->file)
            return rz_fail(err, RZ_EUSAGE, "the reference names a file, so --quant has no effect");
        if (*ref->quant && strcmp(ref->quant, label) != 0)
            return rz_fail(err, RZ_EUSAGE, "the reference says %s, and --quant %s", ref->quant,
                           label);
        copy(ref->quant, sizeof ref->quant, label, strlen(label));
    }
    return RZ_OK;
}
