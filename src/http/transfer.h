/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_TRANSFER_H
#define HTTP_TRANSFER_H

/*
 * What the client's files share. A transfer is one request on its way: taken from the client's
 * idle list, queued until the next turn, added to libcurl, ended, told, and idle again.
 */

#include <curl/curl.h>

#include "base/map.h"
#include "base/text.h"
#include "http/client.h"

#define ANSWER_HEADERS_MAX 64
#define ANSWER_HEADERS_LENGTH_MAX ((size_t)64 << 10)
#define ANSWER_LENGTH_MAX ((size_t)16 << 20)
#define TRANSFERS_IDLE_MAX 256

struct transfer {
    struct http_client *client;
    struct world_request *request;
    CURL *easy;
    struct transfer *previous, *next; /* among the open ones; idle ones: next alone */
    struct transfer *next_failed;
    bool queued;  /* until the next turn */
    bool added;   /* libcurl has it */
    bool sending; /* it has gone out, once */
    struct world_timer deadline;
    struct text sent; /* the header lines, each with its NUL */
    struct curl_slist lines[WORLD_HEADERS_MAX + 4];
    char failure[192]; /* "": none */
    struct text answer;
    struct text head; /* names and values, each with its NUL */
    struct {
        size_t name, value; /* places in `head`, which moves while it grows */
    } places[ANSWER_HEADERS_MAX];
    struct world_header headers[ANSWER_HEADERS_MAX];
    size_t header_count;
};

struct client_socket {
    struct http_client *client;
    uv_poll_t poll;
    int fd;
    int wanted;      /* by libcurl, as uv's events */
    int polled;      /* by the loop */
    bool connection; /* opened here; else a resolver's */
};

/* Where a service is. By TLS its URL has its name, for its certificate, and `connect_to` says where
 * that is. */
struct client_address {
    char *base; /* "http://127.0.0.1:4711", "https://orders:4711" */
    struct curl_slist *connect_to;
};

struct http_client {
    uv_loop_t *loop;
    struct world *world;
    CURLM *multi;
    uv_timer_t timer; /* libcurl's */
    struct world_turn turn;
    bool timeout_due; /* libcurl wants to be called at once */
    bool closing;
    struct {
        const char *name;
        const char *(*sign)(void *context, const char *service); /* NULL: nobody signs */
        void *context;
    } signer;
    const struct http_tls *tls; /* NULL: plain HTTP */
    enum http_outside outside;
    struct map addresses;                    /* by service: struct client_address */
    struct transfer *open_first, *open_last; /* the queued ones at the end */
    struct transfer *failed;                 /* of the open ones, could not be started */
    struct transfer *idle;
    int idle_count;
    struct client_socket **sockets; /* by descriptor */
    int socket_count;
    int references; /* handles not yet closed */
};

struct transfer *transfer_new(struct http_client *client); /* never NULL */
void transfer_free(struct transfer *transfer);
/* Sets the easy handle for the request; `address` NULL: it has a URL. False: a failure was
 * recorded. */
bool transfer_prepare(struct transfer *transfer, const struct client_address *address);
/* Records why there is no answer; the first reason stays. */
void transfer_fail(struct transfer *transfer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void transfer_ended(struct transfer *transfer, CURLcode code);
/* Fills in the request's part that `done` reads. */
void transfer_fill_in(struct transfer *transfer);
void transfer_clear(struct transfer *transfer); /* ready to be used again */

/* libcurl's callbacks for sockets; `context` is the transfer, to close one the client. */
curl_socket_t client_open_socket(void *context, curlsocktype purpose,
                                 struct curl_sockaddr *address);
int client_close_socket(void *context, curl_socket_t fd);
/* libcurl's sockets in the loop: what it waits for. */
int client_on_interest(CURL *easy, curl_socket_t fd, int what, void *context, void *assigned);
void client_run(struct http_client *client, int socket, int events);
void client_unref(struct http_client *client);

#endif
