/* names.h - which names from outside may become parts of paths and URLs. */
#ifndef RZ_HUB_NAMES_H
#define RZ_HUB_NAMES_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* "org/repo" of text[0..len): two parts of letters, digits, '.', '_', '-', which begin with a
 * letter or digit, do not end in '.' or '-' and hold neither ".." nor "--" (as the hub's own rule
 * is, so that "org--repo" has one meaning). */
bool rz_name_is_repo(const char *text, size_t len);

/* A branch, tag or commit: the same letters and '/', no ".." and no empty part. */
bool rz_name_is_revision(const char *text);

/* 40 lower-case hexadecimal digits (n digits: rz_name_is_hex). */
bool rz_name_is_commit(const char *text);
bool rz_name_is_hex(const char *text, size_t n);

/* A file's name in a repository: relative, '/' between parts, no part empty or "." or "..", neither
 * backslash nor control characters, valid UTF-8, no longer than the limits, and not the name of
 * an unfinished download. Nothing else ever becomes a path. */
bool rz_name_is_file(const char *text);

/* Appends text with all but unreserved characters (RFC 3986) as %XX; '/' stays if keep_slash. */
bool rz_name_escape(struct rz_buf *out, const char *text, bool keep_slash);

#define RZ_PARTIAL_SUFFIX ".partial"

#endif
