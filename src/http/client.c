/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client. To a service without TLS, at an address in digits, plain.c sends; everything else
 * goes through libcurl's multi interface, driven by the libuv loop.
 *
 * http_client_send only queues a transfer, which is taken from an idle list; one turn before the
 * loop sleeps starts all queued ones, libcurl's with one call into it. `done` is always called
 * later, from the loop, never from inside http_client_send (except while the client is being
 * freed).
 *
 * An easy handle is set up only for what differs; before libcurl 8.1.0 each request needs a new one
 * (transfer.c). libcurl keeps connections alive, at most HTTP_CLIENT_CONNECTIONS_MAX to one
 * address; further requests wait inside libcurl, and their time runs. If a kept connection turns
 * out to have been closed by the other side before any answer arrived, libcurl would send the
 * request again. That is prevented, because the other side may have executed it: nothing is sent
 * twice here.
 *
 * Deadlines are kept here: one timer of the world per transfer, exact to the millisecond. libcurl
 * gets no timeout, since a second clock could only disagree.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/library.h"
#include "http/transfer.h"

#define CONNECTIONS_KEPT_MAX 1024L
#define ADDRESS_LENGTH_MAX 255
#define CLOSING "the client is closing"

/* ---- Starting and ending ---- */

static void unlink_transfer(struct http_client *client, struct transfer *transfer)
{
    if (transfer->previous)
        transfer->previous->next = transfer->next;
    else
        client->open_first = transfer->next;
    if (transfer->next)
        transfer->next->previous = transfer->previous;
    else
        client->open_last = transfer->previous;
}

/* Calls what waits until the requests of then have ended. */
static void report_settled(struct http_client *client)
{
    void (*done)(void *context) = client->settled.done;
    if (!done || client->settled.count > 0 || client->closing)
        return;
    client->settled.done = NULL;
    done(client->settled.context);
}

void http_client_settle(struct http_client *client, void (*settled)(void *context), void *context)
{
    client->settled.count = 0;
    for (struct transfer *at = client->open_first; at; at = at->next) {
        at->awaited = !at->queued; /* queued ones are signed when they are started */
        client->settled.count += at->awaited;
    }
    client->settled.done = settled;
    client->settled.context = context;
    report_settled(client);
}

/* `done` may send again. It may also free the client, whose memory stays until its handles are
 * closed. */
static void client_finish(struct transfer *transfer)
{
    struct http_client *client = transfer->client;
    struct world_request *request = transfer->request;
    world_timer_stop(client->world, &transfer->deadline);
    if (transfer->added)
        curl_multi_remove_handle(client->multi, transfer->easy);
    transfer->added = false;
    plain_leave(transfer);
    unlink_transfer(client, transfer);
    client->settled.count -= transfer->awaited;
    transfer->awaited = false;
    report_settled(client);
    transfer_fill_in(transfer);
    /* The answer is in the transfer's memory, so that is not reusable until `done` has returned. */
    request->done(request);
    transfer_clear(transfer);
    if (client->closing || client->idle_count == TRANSFERS_IDLE_MAX) {
        transfer_free(transfer);
        return;
    }
    transfer->next = client->idle;
    client->idle = transfer;
    client->idle_count++;
}

static void client_fail_later(struct transfer *transfer)
{
    struct http_client *client = transfer->client;
    world_timer_stop(client->world, &transfer->deadline);
    transfer->next_failed = client->failed;
    client->failed = transfer;
    world_turn(client->world, &client->turn);
}

static void on_deadline(struct world_timer *timer)
{
    struct transfer *transfer = timer->owner;
    transfer_fail(transfer, "deadline passed");
    client_finish(transfer);
}

static struct transfer *transfer_take(struct http_client *client)
{
    struct transfer *transfer = client->idle;
    if (transfer) {
        client->idle = transfer->next;
        client->idle_count--;
    } else {
        transfer = transfer_new(client);
    }
    transfer->deadline = (struct world_timer){.fire = on_deadline, .owner = transfer};
    transfer->next = NULL;
    transfer->previous = client->open_last;
    if (transfer->previous)
        transfer->previous->next = transfer;
    else
        client->open_first = transfer;
    client->open_last = transfer;
    return transfer;
}

void http_client_send(void *context, struct world_request *request)
{
    struct http_client *client = context;
    if (client->closing) {
        request->status = 0;
        request->failure = CLOSING;
        request->unsent = true;
        request->done(request);
        return;
    }
    struct transfer *transfer = transfer_take(client);
    transfer->request = request;
    transfer->queued = true;
    world_turn(client->world, &client->turn);
}

static bool hand_over(struct http_client *client, struct transfer *transfer,
                      const struct client_address *address)
{
    if (address && address->plain)
        return transfer_write(transfer, address->plain->text) &&
               plain_begin(transfer, address->plain);
    if (!transfer_prepare(transfer, address))
        return false;
    transfer->added = curl_multi_add_handle(client->multi, transfer->easy) == CURLM_OK;
    if (!transfer->added)
        transfer_fail(transfer, "libcurl took no further request");
    return transfer->added;
}

static void start_transfer(struct http_client *client, struct transfer *transfer)
{
    const struct world_request *request = transfer->request;
    const struct client_address *address =
        request->url ? NULL : map_get(&client->addresses, request->service);
    const char *refusal = request->url && client->goes_outside
                              ? outside_refusal(&client->outside, request->url)
                              : NULL;
    transfer->queued = false;
    if (request->url && !client->goes_outside)
        transfer_fail(transfer, "this client sends nothing outside of the system");
    else if (refusal)
        transfer_fail(transfer, "its URL %s", refusal);
    else if (!request->url && !address)
        transfer_fail(transfer, "no address is known for %s", request->service);
    else if (transfer->request->deadline_ns <= world_monotonic_ns(client->world))
        transfer_fail(transfer, "deadline passed");
    else if (hand_over(client, transfer, address)) {
        world_timer_start(client->world, &transfer->deadline, transfer->request->deadline_ns);
        return;
    }
    transfer->next_failed = client->failed;
    client->failed = transfer;
}

static void collect_finished(struct http_client *client)
{
    CURLMsg *message;
    int left;
    while (!client->closing && (message = curl_multi_info_read(client->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        struct transfer *transfer;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        transfer_ended(transfer, code);
        client_finish(transfer);
    }
}

static void run_libcurl(struct http_client *client, int socket, int events)
{
    int running;
    if (socket == CURL_SOCKET_TIMEOUT)
        client->timeout_due = false;
    curl_multi_socket_action(client->multi, socket, events, &running);
    collect_finished(client);
}

/* Starts all queued transfers, then reports those that could not be started. */
static void client_turn(struct world_turn *turn)
{
    struct http_client *client = turn->owner;
    if (client->closing)
        return;
    struct transfer *first = NULL;
    /* Queued ones are at the end: an earlier turn has started those before them. */
    for (struct transfer *at = client->open_last; at && at->queued; at = at->previous)
        first = at;
    bool started = false;
    for (struct transfer *at = first; at; at = at->next) {
        start_transfer(client, at);
        started = started || at->added;
    }
    while (client->failed && !client->closing) {
        struct transfer *at = client->failed;
        client->failed = at->next_failed;
        client_finish(at);
    }
    if (!client->closing && (started || client->timeout_due))
        run_libcurl(client, CURL_SOCKET_TIMEOUT, 0);
}

/* ---- When libcurl wants to be called ---- */

static void on_libcurl_timer(uv_timer_t *timer)
{
    run_libcurl(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

/* libcurl says when it wants to be called next. */
static int on_libcurl_timeout(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    struct http_client *client = context;
    client->timeout_due = timeout_ms == 0;
    if (client->closing)
        return 0;
    if (timeout_ms < 0)
        uv_timer_stop(&client->timer);
    else if (timeout_ms == 0)
        world_turn(client->world, &client->turn);
    else
        uv_timer_start(&client->timer, on_libcurl_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

/* ---- Creating and freeing ---- */

static void address_free(struct client_address *address)
{
    if (!address)
        return;
    curl_slist_free_all(address->connect_to);
    free(address->base);
    free(address);
}

void http_client_set_address(struct http_client *client, const char *service, const char *address)
{
    FH_ASSERT(strlen(address) <= ADDRESS_LENGTH_MAX);
    struct client_address *known = calloc(1, sizeof *known);
    const char *port = strrchr(address, ':');
    FH_ASSERT(known != NULL && (port || !client->tls));
    if (client->tls) {
        char *connect_to;
        FH_ASSERT(asprintf(&known->base, "https://%s%s", service, port) > 0 &&
                  asprintf(&connect_to, "%s%s:%s", service, port, address) > 0);
        known->connect_to = curl_slist_append(NULL, connect_to);
        FH_ASSERT(known->connect_to != NULL);
        free(connect_to);
    } else {
        FH_ASSERT(asprintf(&known->base, "http://%s", address) > 0);
        known->plain = plain_address_of(client, address);
    }
    address_free(map_get(&client->addresses, service));
    map_put(&client->addresses, service, known);
}

void http_client_go_outside(struct http_client *client, const struct outside_rules *rules)
{
    client->goes_outside = true;
    client->outside = *rules;
}

void http_client_trust(struct http_client *client, const struct http_tls *tls)
{
    FH_ASSERT(client->goes_outside && tls->trusted);
    client->trusted = tls;
}

void http_client_use_tls(struct http_client *client, const struct http_tls *tls)
{
    FH_ASSERT(client->addresses.count == 0);
    client->tls = tls->certificate && tls->trusted ? tls : NULL;
}

void http_client_set_signer(struct http_client *client, const char *name,
                            const char *(*sign)(void *context, const char *service), void *context)
{
    client->signer.name = name;
    client->signer.sign = sign;
    client->signer.context = context;
}

static void on_timer_closed(uv_handle_t *handle)
{
    client_unref(handle->data);
}

void http_client_free(struct http_client *client)
{
    if (!client)
        return;
    client->closing = true;
    client->failed = NULL;
    while (client->open_first) {
        transfer_fail(client->open_first, CLOSING);
        client_finish(client->open_first);
    }
    while (client->idle) {
        struct transfer *next = client->idle->next;
        transfer_free(client->idle);
        client->idle = next;
    }
    curl_multi_cleanup(client->multi); /* closes the kept connections */
    plain_free(client);
    struct map_entry *entry = NULL;
    void *address;
    while (map_next(&client->addresses, &entry, NULL, &address))
        address_free(address);
    map_release(&client->addresses);
    uv_close((uv_handle_t *)&client->timer, on_timer_closed);
}

enum fh_code http_client_new(uv_loop_t *loop, struct world *world, struct http_client **ret,
                             struct fh_error *error)
{
    *ret = NULL;
    library_keep_openssl_at_exit(); /* curl uses it first */
    if (curl_global_init(CURL_GLOBAL_NOTHING) != CURLE_OK)
        return error_set(error, FH_UNAVAILABLE, "libcurl could not be initialised.");
    struct http_client *client = calloc(1, sizeof *client);
    CURLM *multi = client ? curl_multi_init() : NULL;
    if (!multi) {
        free(client);
        return error_set(error, FH_NO_MEMORY, "No memory for the HTTP client.");
    }
    *client = (struct http_client){.loop = loop,
                                   .world = world,
                                   .multi = multi,
                                   .libcurl = curl_version_info(CURLVERSION_NOW),
                                   .ready = run_libcurl,
                                   .opens_sockets_of = client_opens_sockets_of,
                                   .finish = client_finish,
                                   .fail_later = client_fail_later,
                                   .references = 1};
    map_init(&client->addresses);
    map_init(&client->plain);
    client->turn = (struct world_turn){.run = client_turn, .owner = client};
    uv_timer_init(loop, &client->timer);
    client->timer.data = client;
    curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)HTTP_CLIENT_CONNECTIONS_MAX);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT_MAX);
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, client_on_interest);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_libcurl_timeout);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client);
    *ret = client;
    return FH_OK;
}
