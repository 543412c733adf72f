/* status.h - how every function of librealizar reports failure.
 *
 * A function that can fail returns rz_status and takes a caller-owned rz_error as its last
 * parameter (NULL is allowed: the sentence is then dropped). On failure the error holds the same
 * code and one sentence for a person, without a trailing full stop or newline. On success the
 * error is left untouched. The library never prints, exits or reads the environment. */
#ifndef REALIZAR_STATUS_H
#define REALIZAR_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#define RZ_API      __attribute__((visibility("default")))
#define RZ_MUST_USE __attribute__((warn_unused_result))

/* The numbers are those of the command's exit codes (docs/cli.md), so that a caller that is a
 * program can pass them on; RZ_ENOMEM and RZ_ECANCEL have no code of their own there. */
typedef enum rz_status {
    RZ_OK = 0,
    RZ_EUSAGE = 2,    /* an argument or option is wrong */
    RZ_ENOTFOUND = 3, /* no such file, or not a regular file */
    RZ_EFORMAT = 4,   /* a file's or message's content is malformed */
    RZ_EINVALID = 5,  /* a validation was run and failed */
    RZ_ELOAD = 6,     /* well-formed, but not a model this build can run */
    RZ_EIO = 7,       /* the operating system refused a read, write or map */
    RZ_EINFER = 8,    /* inference cannot go on: context overflow, NaN in logits */
    RZ_ENOTBUILT = 9, /* the feature was left out of this build */
    RZ_ENET = 10,     /* the network failed */
    RZ_EREMOTE = 11,  /* the remote says there is no such thing */
    RZ_ENOMEM = 12,   /* memory could not be had */
    RZ_ECANCEL = 13   /* the caller's callback asked to stop */
} rz_status;

enum {
    RZ_ERROR_TEXT_MAX = 1024
};

typedef struct rz_error {
    rz_status code;
    char text[RZ_ERROR_TEXT_MAX]; /* NUL-terminated UTF-8; cut at the end if longer */
} rz_error;

#ifdef __cplusplus
}
#endif
#endif
