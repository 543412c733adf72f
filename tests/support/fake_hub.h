/* fake_hub.h - a model hub on this machine that misbehaves as it is told: raw sockets, so that it
 * can do what no server library would. Two ports, the hub's and that of the storage it redirects
 * to. Fields are set before a request comes; counters are read with fake_hub_lock held. */
#ifndef RZ_TESTS_SUPPORT_FAKE_HUB_H
#define RZ_TESTS_SUPPORT_FAKE_HUB_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FAKE_MAX_FILES = 16,
    FAKE_MAX_STATUS = 8
};

enum fake_fault {
    FAKE_NO_FAULT,
    FAKE_CLOSE, /* the connection ends in the middle of the body */
    FAKE_RESET, /* by RST */
    FAKE_STALL  /* nothing comes any more, until the client goes away */
};

struct fake_file {
    const char *name;
    const char *data;
    size_t len;
    const char *etag;            /* with quotes; NULL: none is sent */
    const char *location;        /* redirect there */
    const char *retry_after;     /* sent with status[] */
    size_t fault_at;             /* bytes of a body that are sent before it */
    long shift_range;            /* a 206 begins so many bytes off */
    long lie_length;             /* added to Content-Length */
    uint64_t listed_len;         /* instead of len, if not 0 */
    int status[FAKE_MAX_STATUS]; /* answered first, one after the other */
    enum fake_fault fault;
    unsigned n_faults;
    bool lfs;        /* listed with SHA-256, else with git's hash */
    bool redirect;   /* to the storage */
    bool answer_416; /* to every Range */
    bool extra;      /* more body than Content-Length (none is sent) */
    bool wrong_hash; /* in the listing */
    bool ignore_range, ignore_if_range;
    bool huge_head;
    /* Counters. */
    unsigned n_requests, n_ranges;
    uint64_t n_bytes, last_from;
};

struct fake_hub {
    char endpoint[64], storage[64];
    const char *repo;
    char commit[41];
    struct fake_file files[FAKE_MAX_FILES];
    size_t n_files;
    const char *listing;    /* instead of the one made of files */
    size_t listing_len;     /* 0: strlen */
    int listing_status;     /* 0: 200 */
    const char *error_code; /* X-Error-Code beside errors */
    unsigned n_listings;
    unsigned n_tokens_at_hub, n_tokens_at_storage;
    /* Private. */
    pthread_mutex_t mutex;
    pthread_cond_t idle;
    pthread_t threads[2];
    int sockets[2];
    unsigned n_connections;
    bool stopping;
};

/* Starts from a zeroed hub with the repository and the files set. */
void fake_hub_start(struct fake_hub *hub);
void fake_hub_stop(struct fake_hub *hub);
void fake_hub_lock(struct fake_hub *hub);
void fake_hub_unlock(struct fake_hub *hub);
/* Waits until all connections have ended: counters then stand still, and fields may be set. */
void fake_hub_settle(struct fake_hub *hub);

/* Pseudo-random bytes that a seed determines, malloc'ed. */
char *fake_bytes(size_t len, unsigned seed);
void fake_sha256(const char *data, size_t len, char hex[65]);

#endif
