/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_TRANSFER_H
#define HTTP_TRANSFER_H

/*
 * Shared by the client's files. A transfer is one request in progress: taken from the client's idle
 * list, queued until the next turn, added to libcurl or begun without it (plain.h), finished,
 * reported by `done`, and idle again.
 */

#include <curl/curl.h>

#include "base/map.h"
#include "base/text.h"
#include "http/client.h"
#include "http/plain.h"

#define SENT_LENGTH_MAX ((size_t)32 << 10) /* of what goes before a body */
#define ANSWER_HEADERS_MAX 64
#define ANSWER_HEADERS_LENGTH_MAX ((size_t)64 << 10)
#define ANSWER_LENGTH_MAX ((size_t)16 << 20)
#define TRANSFERS_IDLE_MAX 256
/* Less than the server's idle timeout, so that a kept connection is seldom found closed. */
#define CONNECTION_AGE_S_MAX 50L

struct transfer {
    struct http_client *client;
    struct world_request *request;
    CURL *easy;                       /* NULL: libcurl did not send any for it yet */
    struct transfer *previous, *next; /* in the list of open ones; idle ones use only `next` */
    struct transfer *next_failed;
    bool queued;  /* until the next turn */
    bool added;   /* to libcurl */
    bool sending; /* it has been sent once */
    bool awaited; /* the client's `settled` waits for it */
    struct world_timer deadline;
    struct text sent; /* the header lines, each ending with NUL */
    struct curl_slist lines[WORLD_HEADERS_MAX + 5];
    char failure[192]; /* "": none */
    struct text answer;
    struct text head; /* names and values, each ending with NUL */
    struct {
        size_t name, value; /* offsets in `head`, which moves as it grows */
    } places[ANSWER_HEADERS_MAX];
    struct world_header headers[ANSWER_HEADERS_MAX];
    size_t header_count;
    bool framed;     /* a header has said where the answer ends */
    bool head_ended; /* what else is called a header is a trailer */
    bool chunked;    /* the answer says so; otherwise body_length, if framed */
    uint64_t body_length;
    int status;
    /* Without libcurl: */
    struct plain_connection *plain;
    struct plain_address *waits_for; /* a connection to there is not free yet */
    struct transfer *wait_previous, *wait_next;
    struct plain_answer plain_answer;
    struct text line; /* of the answer's head, the first part of one that came in parts */
};

struct client_socket {
    struct http_client *client;
    uv_poll_t poll;
    int fd;
    int wanted;      /* by libcurl, as uv events */
    int polled;      /* by the loop */
    bool connection; /* opened here; otherwise a resolver's */
};

/* Where a service is. With TLS the URL contains its name, which its certificate must bear, and
 * `connect_to` its address. */
struct client_address {
    struct plain_address *plain; /* without libcurl; NULL: with it */
    char *base;                  /* "http://127.0.0.1:4711", "https://orders:4711" */
    struct curl_slist *connect_to;
};

struct http_client {
    uv_loop_t *loop;
    struct world *world;
    CURLM *multi;
    const curl_version_info_data *libcurl; /* which puts it together anew for each that asks */
    uv_timer_t timer;                      /* libcurl's */
    struct world_turn turn;
    bool timeout_due; /* libcurl wants to be called at once */
    bool closing;
    struct {
        const char *name;
        const char *(*sign)(void *context, const char *service); /* NULL: no such header */
        void *context;
    } signer;
    struct {
        size_t count;                /* of the transfers that it waits for */
        void (*done)(void *context); /* NULL: nobody waits */
        void *context;
    } settled;
    const struct http_tls *tls; /* NULL: plain HTTP */
    bool goes_outside;
    const struct http_tls *trusted; /* outside; NULL: whom the machine trusts */
    struct outside_rules outside;
    struct map addresses;                    /* by service name: struct client_address */
    struct transfer *open_first, *open_last; /* queued ones are at the end */
    struct transfer *failed;                 /* open ones that could not be started */
    struct transfer *idle;
    int idle_count;
    struct map plain;               /* by address: struct plain_address */
    char *received;                 /* plain.c: where bytes are read to, or NULL */
    struct client_socket **sockets; /* indexed by descriptor */
    int socket_count;
    int references; /* handles not yet closed */
    /* Something has happened on a socket that libcurl watches. */
    void (*ready)(struct http_client *client, int socket, int events);
    /* Reports a transfer, whether it has failed or not: it is not to be used afterwards; or the
     * same for one that has failed, but not at once. */
    void (*opens_sockets_of)(struct transfer *transfer); /* as client_socket.c says */
    void (*finish)(struct transfer *transfer);
    void (*fail_later)(struct transfer *transfer);
};

struct transfer *transfer_new(struct http_client *client); /* never NULL */
void transfer_free(struct transfer *transfer);
void transfer_make_easy(struct transfer *transfer); /* where it has none yet */
/* transfer_request.c: sets up the easy handle for the request; `address` is NULL if it has a URL.
 * False: failed, and the reason is recorded. */
bool transfer_prepare(struct transfer *transfer, const struct client_address *address);
/* The same without libcurl: writes the request to `sent`, but for its body. */
bool transfer_write(struct transfer *transfer, const char *host);
/* Records why there is no answer; the first reason is kept. */
void transfer_fail(struct transfer *transfer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void transfer_ended(struct transfer *transfer, CURLcode code);
/* Fills in the part of the request that `done` reads. */
void transfer_fill_in(struct transfer *transfer);
void transfer_clear(struct transfer *transfer); /* ready for reuse */
/* Of an answer that comes without libcurl. Each may fail the transfer. */
void transfer_take_body(struct transfer *transfer, const char *data, size_t length);
bool transfer_keep_header(struct transfer *transfer, const char *line, size_t length);
void transfer_drop_head(struct transfer *transfer); /* an interim one */
void transfer_check_status(struct transfer *transfer);
bool transfer_has_close(const struct transfer *transfer);

/* client_socket.c */
/* libcurl opens and closes the transfer's sockets by functions of the client. */
void client_opens_sockets_of(struct transfer *transfer);
/* libcurl's callback to watch a socket. */
int client_on_interest(CURL *easy, curl_socket_t fd, int what, void *context, void *assigned);
void client_unref(struct http_client *client); /* the last handle has been closed: frees it */

#endif
