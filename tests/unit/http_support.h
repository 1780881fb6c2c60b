/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_HTTP_SUPPORT_H
#define TESTS_HTTP_SUPPORT_H

/*
 * What the tests of layer `http` share: a listening socket, a client that sends bytes as they are
 * and collects what comes back, and a server whose handler echoes, holds or answers later.
 */

#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/server.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HELD_MAX 1024

static inline int listen_anywhere(int *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1024), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* ---- A server ---- */

struct site {
    struct harness harness;
    int listen_fd, port;
    struct http_server *server;
    const struct http_tls *tls;           /* NULL: plain */
    struct http_incoming *held[HELD_MAX]; /* "/hold" */
    unsigned held_count;
    unsigned taken;
    struct http_held kept; /* the answer to "/big" */
    unsigned gone;         /* of those, no longer kept */
    struct http_peer peer; /* of the last request */
    unsigned guests;       /* connections that have come and not ended */
    unsigned guests_max;   /* 0: any number */
    unsigned silent;       /* of those that ended: by how many no request came */
    bool paces_guests;     /* those that come from now on */
    bool holds;            /* the head of a request was left in its socket */
    char shed[64];         /* the queries of "/shed", in order */
    bool drained;
};

static inline void reply_text(struct http_incoming *incoming, int status, const char *text)
{
    http_reply(incoming->request,
               &(struct http_answer){.status = status, .body = text, .body_length = strlen(text)});
}

static inline void reply_echo(struct http_incoming *incoming)
{
    char text[4096];
    const char *type = http_request_header(incoming->request, "content-type");
    snprintf(text, sizeof text, "%s|%s|%s|%zu|%.64s|%s", incoming->method, incoming->path,
             incoming->query, incoming->body_length, incoming->body, type ? type : "");
    reply_text(incoming, 200, text);
}

struct later {
    struct world_timer timer;
    struct http_incoming *incoming;
};

static inline void on_later(struct world_timer *timer)
{
    struct later *later = timer->owner;
    reply_echo(later->incoming);
    free(later);
}

static inline void on_gone(struct http_held *held)
{
    struct site *site = (struct site *)((char *)held - offsetof(struct site, kept));
    site->gone++;
}

/* "/big?N": an answer of N bytes. */
static inline void reply_big(struct site *site, struct http_incoming *incoming)
{
    size_t length = (size_t)atol(incoming->query);
    char *text = malloc(length + 1);
    memset(text, 'x', length);
    site->kept.gone = on_gone;
    http_reply(incoming->request,
               &(struct http_answer){
                   .status = 200, .body = text, .body_length = length, .held = &site->kept});
    free(text);
}

static inline void on_incoming(void *context, struct http_incoming *incoming)
{
    struct site *site = context;
    site->taken++;
    site->peer = incoming->peer;
    if (strcmp(incoming->path, "/hold") == 0) {
        site->held[site->held_count++ % HELD_MAX] = incoming;
    } else if (strcmp(incoming->path, "/later") == 0) {
        struct later *later = calloc(1, sizeof *later);
        *later = (struct later){{.fire = on_later, .owner = later}, incoming};
        world_timer_start(site->harness.world, &later->timer, world_in_ms(site->harness.world, 1));
    } else if (strcmp(incoming->path, "/big") == 0) {
        reply_big(site, incoming);
    } else if (strcmp(incoming->path, "/paced") == 0) {
        http_reply(incoming->request, &(struct http_answer){.status = 204, .paced = true});
    } else if (strcmp(incoming->path, "/shed-later") == 0) {
        http_reply(incoming->request, &(struct http_answer){.status = 503, .shed = true});
    } else if (strcmp(incoming->path, "/slow") == 0) {
        usleep(50000);
        reply_echo(incoming);
    } else if (strcmp(incoming->path, "/empty") == 0) {
        http_reply(incoming->request, &(struct http_answer){.status = 204});
    } else {
        reply_echo(incoming);
    }
}

/* Every test's connections are counted, and its site ends with none. */
static inline enum http_admission on_connected(void *context, const struct http_peer *peer)
{
    struct site *site = context;
    (void)peer;
    if (site->guests_max && site->guests == site->guests_max)
        return HTTP_TURN_AWAY;
    site->guests++;
    return site->paces_guests ? HTTP_ADMIT_PACED : HTTP_ADMIT;
}

static inline void on_disconnected(void *context, const struct http_peer *peer, bool asked)
{
    struct site *site = context;
    site->silent += !asked;
    assert_true(peer->known);
    site->guests--;
}

/* "/shed": its body is not waited for. */
static inline const struct http_answer *on_head(void *context, const struct http_incoming *head)
{
    static const struct http_header later = {"Retry-After", "1"};
    static const struct http_answer shed = {
        .status = 503, .body = "{}", .body_length = 2, .headers = &later, .header_count = 1};
    struct site *site = context;
    site->holds |= head->held_ns > 0;
    if (strcmp(head->path, "/shed") == 0 && strlen(site->shed) + strlen(head->query) < 64)
        strcat(site->shed, head->query);
    return strcmp(head->path, "/shed") == 0 ? &shed : NULL;
}

static inline void site_serve(struct site *site, const struct http_limits *limits)
{
    struct http_handler handler = {.incoming = on_incoming,
                                   .context = site,
                                   .connected = on_connected,
                                   .disconnected = on_disconnected,
                                   .shed = on_head};
    struct fh_error error = {0};
    assert_int_equal(http_server_new(&site->harness.loop, site->harness.world, site->listen_fd,
                                     limits, site->tls, handler, &site->server, &error),
                     FH_OK);
}

static inline void site_init(struct site *site, const struct http_limits *limits)
{
    memset(site, 0, sizeof *site);
    harness_init(&site->harness);
    site->listen_fd = listen_anywhere(&site->port);
    site_serve(site, limits);
}

static inline void on_drained(void *context)
{
    *(bool *)context = true;
}

static inline bool is_true(void *argument)
{
    return *(bool *)argument;
}

static inline void site_stop(struct site *site, int grace_ms)
{
    site->drained = false;
    http_server_drain(site->server, grace_ms, on_drained, &site->drained);
    harness_until(&site->harness, is_true, &site->drained);
    http_server_free(site->server);
    site->server = NULL;
    assert_int_equal(site->guests, 0);
}

static inline void site_release(struct site *site)
{
    if (site->server)
        site_stop(site, 0);
    assert_int_equal(fcntl(site->listen_fd, F_GETFD) >= 0, 1); /* never closed by the server */
    close(site->listen_fd);
    harness_release(&site->harness);
}

static inline unsigned open_connections(struct site *site)
{
    unsigned requests, connections;
    http_server_load(site->server, &requests, &connections);
    return connections;
}

static inline unsigned open_requests(struct site *site)
{
    unsigned requests, connections;
    http_server_load(site->server, &requests, &connections);
    return requests;
}

static inline bool no_connections(void *argument)
{
    return open_connections(argument) == 0;
}

static inline bool has_connection(void *argument)
{
    return open_connections(argument) > 0;
}

struct held_wait {
    struct site *site;
    unsigned count;
};

static inline bool has_held(void *argument)
{
    struct held_wait *wait = argument;
    return wait->site->held_count >= wait->count;
}

static inline void until_held(struct site *site, unsigned count)
{
    struct held_wait wait = {site, count};
    harness_until(&site->harness, has_held, &wait);
}

/* ---- A client that sends what it is told ---- */

struct raw {
    struct harness *harness;
    uv_poll_t poll;
    int fd;
    char data[1 << 17];
    size_t length;
    bool closed; /* by the other side */
    bool reset;  /* and so that what was on its way is lost */
    bool released;
    const char *awaited;
};

/* To the end: a reset is reported once, and what came before it must still be read. */
static inline void on_raw_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct raw *raw = poll->data;
    ssize_t got;
    do {
        got = recv(raw->fd, raw->data + raw->length, sizeof raw->data - raw->length - 1,
                   MSG_DONTWAIT);
        if (got > 0)
            raw->length += (size_t)got;
    } while (got > 0);
    raw->data[raw->length] = '\0';
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        raw->closed = true;
        raw->reset = got < 0;
        uv_poll_stop(poll);
    }
}

static inline struct raw *raw_connect(struct site *site)
{
    struct raw *raw = calloc(1, sizeof *raw);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {htonl(INADDR_LOOPBACK)},
                                  .sin_port = htons((uint16_t)site->port)};
    raw->harness = &site->harness;
    raw->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(raw->fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(uv_poll_init(&site->harness.loop, &raw->poll, raw->fd), 0);
    raw->poll.data = raw;
    assert_int_equal(uv_poll_start(&raw->poll, UV_READABLE, on_raw_ready), 0);
    return raw;
}

static inline void raw_send(struct raw *raw, const char *data, size_t length)
{
    while (length) {
        ssize_t sent = send(raw->fd, data, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            uv_run(&raw->harness->loop, UV_RUN_NOWAIT);
            continue;
        }
        if (sent < 0)
            return; /* the other side is gone: what came from it shows that */
        data += sent;
        length -= (size_t)sent;
    }
}

static inline void raw_text(struct raw *raw, const char *text)
{
    raw_send(raw, text, strlen(text));
}

/* A POST with a body of `length` bytes, announced or in chunks of 1,000. */
static inline struct raw *post_body(struct site *site, size_t length, bool chunked)
{
    struct raw *raw = raw_connect(site);
    char text[128], piece[1000];
    memset(piece, 'x', sizeof piece);
    snprintf(text, sizeof text, "POST /b HTTP/1.1\r\nHost: x\r\n%s%.0zu\r\n\r\n",
             chunked ? "Transfer-Encoding: chunked" : "Content-Length: ", chunked ? 0 : length);
    raw_text(raw, text);
    while (length) {
        size_t part = length < sizeof piece ? length : sizeof piece;
        snprintf(text, sizeof text, "%zx\r\n", part);
        if (chunked)
            raw_text(raw, text);
        raw_send(raw, piece, part);
        if (chunked)
            raw_text(raw, "\r\n");
        length -= part;
        uv_run(&site->harness.loop, UV_RUN_NOWAIT);
    }
    if (chunked)
        raw_text(raw, "0\r\n\r\n");
    return raw;
}

static inline bool raw_has(void *argument)
{
    struct raw *raw = argument;
    return strstr(raw->data, raw->awaited) != NULL;
}

static inline void raw_until(struct raw *raw, const char *awaited)
{
    raw->awaited = awaited;
    harness_until(raw->harness, raw_has, raw);
}

static inline bool raw_is_closed(void *argument)
{
    return ((struct raw *)argument)->closed;
}

static inline void raw_until_closed(struct raw *raw)
{
    harness_until(raw->harness, raw_is_closed, raw);
}

static inline void on_raw_closed(uv_handle_t *handle)
{
    struct raw *raw = handle->data;
    close(raw->fd);
    raw->released = true;
}

static inline void raw_close(struct raw *raw)
{
    uv_close((uv_handle_t *)&raw->poll, on_raw_closed);
    harness_until(raw->harness, is_true, &raw->released);
    free(raw);
}

/* One request on a connection of its own, until the server closes it or `awaited` has come. */
static inline struct raw *raw_ask(struct site *site, const char *request, const char *awaited)
{
    struct raw *raw = raw_connect(site);
    raw_text(raw, request);
    if (awaited)
        raw_until(raw, awaited);
    else
        raw_until_closed(raw);
    return raw;
}

/* ---- What is expected ---- */

#define HEAD_OF(target) "GET " target " HTTP/1.1\r\nHost: x\r\n\r\n"

static inline void assert_contains(const struct raw *raw, const char *text)
{
    if (!strstr(raw->data, text))
        fail_msg("expected \"%s\" in:\n%s", text, raw->data);
}

static inline void assert_lacks(const struct raw *raw, const char *text)
{
    if (strstr(raw->data, text))
        fail_msg("did not expect \"%s\" in:\n%s", text, raw->data);
}

static inline void assert_problem(const struct raw *raw, int status)
{
    char line[32], member[32];
    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    snprintf(member, sizeof member, "\"status\":%d", status);
    if (strncmp(raw->data, line, strlen(line)) != 0)
        fail_msg("expected %d, got:\n%s", status, raw->data);
    assert_contains(raw, "Content-Type: application/problem+json\r\n");
    assert_contains(raw, member);
    assert_contains(raw, "\"type\":\"urn:freehold:problem:");
}

/* Everything that one exchange needs, and the server's answer is checked by `check`. */
static inline void exchange(struct site *site, const char *request, const char *expected)
{
    struct raw *raw = raw_ask(site, request, expected);
    raw_close(raw);
}

#endif
