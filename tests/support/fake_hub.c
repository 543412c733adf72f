/* fake_hub.c - the hub of fake_hub.h: a thread per port, a thread per connection, one request per
 * connection. Hashes are OpenSSL's one-shot functions, not those of the code under test. */
#include "support/fake_hub.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    REQUEST_MAX = 16 << 10,
    LISTING_MAX = 64 << 10
};

struct port {
    struct fake_hub *hub;
    bool is_storage;
    int fd; /* a connection's */
};

struct request {
    char text[REQUEST_MAX];
    char path[4096];
    const struct port *port;
    int fd;
    bool reset; /* end the connection by RST */
};

void fake_hub_lock(struct fake_hub *hub)
{
    pthread_mutex_lock(&hub->mutex);
}

void fake_hub_unlock(struct fake_hub *hub)
{
    pthread_mutex_unlock(&hub->mutex);
}

void fake_hub_settle(struct fake_hub *hub)
{
    fake_hub_lock(hub);
    while (hub->n_connections > 0)
        pthread_cond_wait(&hub->idle, &hub->mutex);
    fake_hub_unlock(hub);
}

char *fake_bytes(size_t len, unsigned seed)
{
    char *data = malloc(len + 1);
    uint32_t x = seed * 2654435761u + 1;
    for (size_t i = 0; data && i < len; i++) {
        x = x * 1664525u + 1013904223u;
        data[i] = (char)(x >> 24);
    }
    return data;
}

static void hex_of(const EVP_MD *kind, const void *data, size_t len, char *hex)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_Digest(data, len, bytes, &n, kind, NULL);
    for (unsigned i = 0; i < n; i++)
        snprintf(hex + (size_t)2 * i, 3, "%02x", bytes[i]);
}

void fake_sha256(const char *data, size_t len, char hex[65])
{
    hex_of(EVP_sha256(), data, len, hex);
}

static void git_sha1(const char *data, size_t len, char hex[41])
{
    char *blob = malloc(len + 32);
    if (!blob)
        return;
    int n = snprintf(blob, 32, "blob %zu", len) + 1;
    memcpy(blob + n, data, len);
    hex_of(EVP_sha1(), blob, len + (size_t)n, hex);
    free(blob);
}

static bool send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static void send_text(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void send_text(int fd, const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0)
        return;
    send_all(fd, text, (size_t)n);
    free(text);
}

/* The value of a request's line, NULL if it has none; ends at the line's end. */
static const char *header(const struct request *r, const char *name, char out[512])
{
    size_t n = strlen(name);
    for (const char *line = strstr(r->text, "\r\n"); line && line[2]; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, n) != 0 || line[n] != ':')
            continue;
        const char *value = line + n + 1;
        value += strspn(value, " ");
        size_t len = strcspn(value, "\r");
        snprintf(out, 512, "%.*s", (int)len, value);
        return out;
    }
    return NULL;
}

static void send_status(const struct request *r, int code, const char *more)
{
    const struct fake_hub *hub = r->port->hub;
    send_text(r->fd,
              "HTTP/1.1 %d No\r\nContent-Length: 6\r\nConnection: close\r\n%s%s%s%s\r\nsorry\n",
              code, hub->error_code ? "X-Error-Code: " : "", hub->error_code ? hub->error_code : "",
              hub->error_code ? "\r\n" : "", more);
}

static void send_listing(const struct request *r)
{
    struct fake_hub *hub = r->port->hub;
    hub->n_listings++;
    if (hub->listing_status) {
        send_status(r, hub->listing_status, "");
        return;
    }
    char *text = calloc(1, LISTING_MAX);
    size_t n = 0, max = LISTING_MAX;
    if (!text)
        return;
    n += (size_t)snprintf(text, max, "{\"id\": \"x\", \"sha\": \"%s\", \"siblings\": [",
                          hub->commit);
    for (size_t i = 0; i < hub->n_files; i++) {
        const struct fake_file *f = &hub->files[i];
        char hash[65] = "";
        unsigned long long len = f->listed_len ? f->listed_len : f->len;
        if (f->lfs)
            fake_sha256(f->data, f->len, hash);
        else
            git_sha1(f->data, f->len, hash);
        if (f->wrong_hash)
            hash[0] = hash[0] == '0' ? '1' : '0';
        n += (size_t)snprintf(text + n, max - n, "%s{\"rfilename\": \"%s\", \"size\": %llu, ",
                              i ? ", " : "", f->name, len);
        if (f->lfs)
            n += (size_t)snprintf(
                text + n, max - n,
                "\"blobId\": \"0123456789012345678901234567890123456789\", \"lfs\": {\"sha256\": "
                "\"%s\", \"size\": %llu, \"pointerSize\": 135}}",
                hash, len);
        else
            n += (size_t)snprintf(text + n, max - n, "\"blobId\": \"%s\"}", hash);
    }
    snprintf(text + n, max - n, "]}");
    const char *body = hub->listing ? hub->listing : text;
    size_t len = hub->listing && hub->listing_len ? hub->listing_len : strlen(body);
    send_text(r->fd, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", len);
    send_all(r->fd, body, len);
    free(text);
}

/* Waits until the client has closed its side, or the hub stops. */
static void wait_for_end(const struct request *r)
{
    char byte;
    struct pollfd p = {.fd = r->fd, .events = POLLIN};
    while (!r->port->hub->stopping) {
        fake_hub_unlock(r->port->hub);
        bool ended = poll(&p, 1, 20) > 0 && recv(r->fd, &byte, 1, 0) <= 0;
        fake_hub_lock(r->port->hub);
        if (ended)
            return;
    }
}

/* Sends the body from an offset, as far as the fault lets it. The lock is held. */
static void send_body(struct request *r, struct fake_file *f, size_t from)
{
    struct fake_hub *hub = r->port->hub;
    size_t len = f->len - from;
    bool faulty = f->fault != FAKE_NO_FAULT && f->n_faults > 0;
    if (faulty && len > f->fault_at)
        len = f->fault_at;
    if (faulty)
        f->n_faults--;
    const char *data = f->data;
    enum fake_fault fault = faulty ? f->fault : FAKE_NO_FAULT;
    f->n_bytes += len;
    fake_hub_unlock(hub);
    send_all(r->fd, data + from, len);
    if (f->extra)
        send_all(r->fd, "and more", 8);
    fake_hub_lock(hub);
    if (fault == FAKE_STALL) {
        wait_for_end(r);
    } else if (fault == FAKE_RESET) {
        /* What was sent should arrive before the reset overtakes it. */
        fake_hub_unlock(hub);
        usleep(100000);
        fake_hub_lock(hub);
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        setsockopt(r->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        r->reset = true;
    }
}

static void send_file(struct request *r, struct fake_file *f)
{
    char range[512], if_range[512], etag[600] = "";
    size_t from = 0;
    bool ranged = header(r, "Range", range) && sscanf(range, "bytes=%zu-", &from) == 1;
    f->n_ranges += ranged;
    f->last_from = from;
    if (f->huge_head) {
        char *line = malloc(200000);
        if (line) {
            memset(line, 'x', 200000);
            line[199999] = '\0';
            send_text(r->fd, "HTTP/1.1 200 OK\r\n");
            for (int i = 0; i < 200000; i += 1000)
                send_text(r->fd, "X-Long: %.900s\r\n", line + i);
            free(line);
        }
        return;
    }
    if (ranged && f->answer_416) {
        send_status(r, 416, "Content-Range: bytes */1\r\n");
        return;
    }
    if (ranged && (f->ignore_range || (header(r, "If-Range", if_range) && !f->ignore_if_range &&
                                       (!f->etag || strcmp(if_range, f->etag) != 0))))
        ranged = false;
    if (!ranged)
        from = 0;
    if (from > f->len)
        from = f->len;
    if (f->etag)
        snprintf(etag, sizeof etag, "ETag: %s\r\n", f->etag);
    long first = (long)from + (ranged ? f->shift_range : 0);
    if (ranged)
        send_text(r->fd,
                  "HTTP/1.1 206 Partial\r\nContent-Length: %zu\r\nContent-Range: bytes "
                  "%ld-%zu/%zu\r\n%sConnection: close\r\n\r\n",
                  f->len - from, first, f->len - 1, f->len, etag);
    else if (f->extra)
        send_text(r->fd, "HTTP/1.1 200 OK\r\n%sConnection: close\r\n\r\n", etag);
    else
        send_text(r->fd, "HTTP/1.1 200 OK\r\nContent-Length: %ld\r\n%sConnection: close\r\n\r\n",
                  (long)f->len + f->lie_length, etag);
    send_body(r, f, from);
}

static void resolve_file(struct request *r, struct fake_file *f, size_t index)
{
    const struct fake_hub *hub = r->port->hub;
    f->n_requests++;
    if (f->status[0]) {
        int code = f->status[0];
        char more[128] = "";
        memmove(f->status, f->status + 1, sizeof f->status - sizeof f->status[0]);
        if (f->retry_after)
            snprintf(more, sizeof more, "Retry-After: %s\r\n", f->retry_after);
        send_status(r, code, more);
    } else if (f->location) {
        send_text(r->fd,
                  "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n"
                  "Connection: close\r\n\r\n",
                  f->location);
    } else if (f->redirect) {
        char hash[65];
        fake_sha256(f->data, f->len, hash);
        send_text(r->fd,
                  "HTTP/1.1 302 Found\r\nLocation: %s/blob/%zu?sig=1\r\nX-Linked-Etag: \"%s\"\r\n"
                  "X-Linked-Size: %zu\r\nX-Repo-Commit: %s\r\nContent-Length: 9\r\n"
                  "Connection: close\r\n\r\nelsewhere",
                  hub->storage, index, hash, f->len, hub->commit);
    } else {
        send_file(r, f);
    }
}

static void answer(struct request *r)
{
    struct fake_hub *hub = r->port->hub;
    char value[512], prefix[512];
    if (header(r, "Authorization", value)) {
        if (r->port->is_storage)
            hub->n_tokens_at_storage++;
        else
            hub->n_tokens_at_hub++;
    }
    size_t index;
    if (r->port->is_storage && sscanf(r->path, "/blob/%zu", &index) == 1 && index < hub->n_files) {
        send_file(r, &hub->files[index]);
        return;
    }
    int n = snprintf(prefix, sizeof prefix, "/api/models/%s/revision/", hub->repo);
    if (!strncmp(r->path, prefix, (size_t)n)) {
        send_listing(r);
        return;
    }
    n = snprintf(prefix, sizeof prefix, "/%s/resolve/%s/", hub->repo, hub->commit);
    for (size_t i = 0; i < hub->n_files; i++)
        if (!strncmp(r->path, prefix, (size_t)n) && !strcmp(r->path + n, hub->files[i].name)) {
            resolve_file(r, &hub->files[i], i);
            return;
        }
    send_status(r, 404, "");
}

static void *serve_connection(void *user)
{
    struct port *port = user;
    struct fake_hub *hub = port->hub;
    struct request *r = calloc(1, sizeof *r);
    size_t n = 0;
    while (r && n < REQUEST_MAX - 1 && !strstr(r->text, "\r\n\r\n")) {
        ssize_t got = recv(port->fd, r->text + n, REQUEST_MAX - 1 - n, 0);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    fake_hub_lock(hub);
    if (r && sscanf(r->text, "GET %4095s HTTP/1.1", r->path) == 1) {
        r->port = port;
        r->fd = port->fd;
        answer(r);
    }
    if (!r || !r->reset)
        shutdown(port->fd, SHUT_WR);
    close(port->fd);
    hub->n_connections--;
    pthread_cond_broadcast(&hub->idle);
    fake_hub_unlock(hub);
    free(r);
    free(port);
    return NULL;
}

static void *serve_port(void *user)
{
    const struct port *listening = user;
    struct fake_hub *hub = listening->hub;
    int fd = listening->fd;
    bool is_storage = listening->is_storage;
    free(user);
    while (true) {
        int connection = accept(fd, NULL, NULL);
        fake_hub_lock(hub);
        bool stop = hub->stopping;
        struct port *port = stop || connection < 0 ? NULL : malloc(sizeof *port);
        pthread_t thread;
        if (port) {
            *port = (struct port){hub, is_storage, connection};
            hub->n_connections++;
            if (!pthread_create(&thread, NULL, serve_connection, port))
                pthread_detach(thread);
        } else if (connection >= 0) {
            close(connection);
        }
        fake_hub_unlock(hub);
        if (stop)
            return NULL;
    }
}

void fake_hub_start(struct fake_hub *hub)
{
    pthread_mutex_init(&hub->mutex, NULL);
    pthread_cond_init(&hub->idle, NULL);
    if (!*hub->commit)
        memcpy(hub->commit, "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd", 41);
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof address;
        hub->sockets[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(hub->sockets[i], (struct sockaddr *)&address, len) ||
            listen(hub->sockets[i], 64) ||
            getsockname(hub->sockets[i], (struct sockaddr *)&address, &len))
            abort();
        snprintf(i ? hub->storage : hub->endpoint, sizeof hub->endpoint, "http://127.0.0.1:%u",
                 ntohs(address.sin_port));
        struct port *port = malloc(sizeof *port);
        if (!port)
            abort();
        *port = (struct port){hub, i == 1, hub->sockets[i]};
        if (pthread_create(&hub->threads[i], NULL, serve_port, port))
            abort();
    }
}

void fake_hub_stop(struct fake_hub *hub)
{
    fake_hub_lock(hub);
    hub->stopping = true;
    fake_hub_unlock(hub);
    for (int i = 0; i < 2; i++) {
        shutdown(hub->sockets[i], SHUT_RDWR);
        pthread_join(hub->threads[i], NULL);
        close(hub->sockets[i]);
    }
    fake_hub_settle(hub);
    pthread_cond_destroy(&hub->idle);
    pthread_mutex_destroy(&hub->mutex);
}
