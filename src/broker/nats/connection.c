/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection, and what all files of the driver say of it. The library connects again by itself,
 * for as long as it takes; what was under way then is lost, and its callers are told at their
 * deadlines.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/nats/internal.h"
#include "world/world.h"

#define PING_MS 5000 /* two unanswered ones, and the connection counts as lost */
#define RECONNECT_MS 250
#define WRITE_MS 2000
#define RECONNECT_BUFFER (64 << 10) /* requests and acknowledgements alone: both may be lost */
#define UNDELIVERED_MAX 65536       /* in the library: what our requests ask for is less */

_Atomic uint64_t nats_refused, nats_disconnected;

struct connecting {
    struct nats_broker *broker;
    int64_t timeout_ms;
    enum fh_code code;
    struct fh_error *error;
};

bool nats_stream_name(const struct broker_topic *topic, char ret[static NATS_WORD_SIZE])
{
    return snprintf(ret, NATS_WORD_SIZE, "freehold-%s", topic->name) < NATS_WORD_SIZE;
}

bool nats_subject(const struct broker_topic *topic, unsigned partition,
                  char ret[static NATS_WORD_SIZE])
{
    return snprintf(ret, NATS_WORD_SIZE, "freehold.%s.%u", topic->name, partition) < NATS_WORD_SIZE;
}

int64_t nats_left_ms(struct world *world, int64_t deadline_ns)
{
    int64_t left = (deadline_ns - world_monotonic_ns(world)) / 1000000;
    return left < 1 ? 1 : left;
}

enum fh_code nats_failed(const struct nats_broker *broker, const char *what, natsStatus status,
                         int server_code, struct fh_error *error)
{
    enum fh_code code = FH_UNAVAILABLE;
    if (status == NATS_NO_MEMORY)
        code = FH_NO_MEMORY;
    else if (status == NATS_NOT_PERMITTED || status == NATS_CONNECTION_AUTH_FAILED ||
             status == NATS_INVALID_ARG || status == NATS_INVALID_SUBJECT)
        code = FH_INVALID;
    /* The library's own text of the status names no server, and holds nothing of ours; the server's
     * of an error says what it lacks. */
    const char *text = server_code ? nats.nats_GetLastError(NULL) : NULL;
    error_set(error, code, "NATS at %s:%d %s: %.120s.", broker->options.host, broker->options.port,
              what, text && *text ? text : nats.natsStatus_GetText(status));
    snprintf(error->native, sizeof error->native, "%d", server_code ? server_code : (int)status);
    return code;
}

enum fh_code nats_is_connected(const struct nats_broker *broker, struct fh_error *error)
{
    if (!atomic_load(&broker->link->lost))
        return FH_OK;
    return error_set(error, FH_UNAVAILABLE, "The connection to NATS at %s:%d is lost.",
                     broker->options.host, broker->options.port);
}

static natsStatus set_credentials(natsOptions *options, const struct nats_options *from)
{
    if (from->token[0])
        return nats.natsOptions_SetToken(options, from->token);
    if (from->user[0])
        return nats.natsOptions_SetUserInfo(options, from->user, from->password);
    return NATS_OK;
}

static natsStatus set_tls(natsOptions *options, const struct nats_options *from)
{
    if (!from->tls.verify)
        return NATS_OK;
    natsStatus status = nats.natsOptions_SetSecure(options, true);
    if (status == NATS_OK)
        status = nats.natsOptions_LoadCATrustedCertificates(options, from->tls.ca);
    if (status == NATS_OK && from->tls.certificate[0])
        status =
            nats.natsOptions_LoadCertificatesChain(options, from->tls.certificate, from->tls.key);
    if (status == NATS_OK)
        status = nats.natsOptions_SetExpectedHostname(options, from->host);
    return status;
}

natsStatus nats_set_address(natsOptions *options, const struct nats_options *from)
{
    char url[sizeof from->host + 32];
    snprintf(url, sizeof url, strchr(from->host, ':') ? "nats://[%s]:%d" : "nats://%s:%d",
             from->host, from->port);
    natsStatus status = nats.natsOptions_SetURL(options, url);
    if (status == NATS_OK)
        status = set_credentials(options, from);
    return status == NATS_OK ? set_tls(options, from) : status;
}

/* ---- the library's callbacks, on its threads ---- */

static void link_lost(natsConnection *connection, void *owner)
{
    struct nats_link *link = owner;
    (void)connection;
    atomic_store(&link->lost, true);
    atomic_fetch_add(&nats_disconnected, 1);
}

static void link_made_again(natsConnection *connection, void *owner)
{
    struct nats_link *link = owner;
    (void)connection;
    atomic_store(&link->lost, false);
}

static void link_left(struct nats_link *link)
{
    if (atomic_fetch_sub(&link->users, 1) == 1)
        free(link);
}

static void link_closed(natsConnection *connection, void *owner)
{
    (void)connection;
    link_left(owner);
}

static natsStatus set_callbacks(natsOptions *options, struct nats_link *link)
{
    natsStatus status = nats.natsOptions_SetDisconnectedCB(options, link_lost, link);
    if (status == NATS_OK)
        status = nats.natsOptions_SetReconnectedCB(options, link_made_again, link);
    if (status == NATS_OK)
        status = nats.natsOptions_SetClosedCB(options, link_closed, link);
    return status;
}

/* ---- connecting ---- */

static natsStatus set_behaviour(natsOptions *options, int64_t timeout_ms)
{
    natsStatus status = nats.natsOptions_SetTimeout(options, timeout_ms);
    if (status == NATS_OK)
        status = nats.natsOptions_SetMaxReconnect(options, -1);
    if (status == NATS_OK)
        status = nats.natsOptions_SetReconnectWait(options, RECONNECT_MS);
    if (status == NATS_OK)
        status = nats.natsOptions_SetReconnectJitter(options, RECONNECT_MS, RECONNECT_MS);
    if (status == NATS_OK)
        status = nats.natsOptions_SetReconnectBufSize(options, RECONNECT_BUFFER);
    if (status == NATS_OK)
        status = nats.natsOptions_SetPingInterval(options, PING_MS);
    if (status == NATS_OK)
        status = nats.natsOptions_SetMaxPingsOut(options, 2);
    if (status == NATS_OK)
        status = nats.natsOptions_SetWriteDeadline(options, WRITE_MS);
    if (status == NATS_OK)
        status = nats.natsOptions_SetMaxPendingMsgs(options, UNDELIVERED_MAX);
    if (status == NATS_OK)
        status = nats.natsOptions_SetIgnoreDiscoveredServers(options, true);
    if (status == NATS_OK)
        status = nats.natsOptions_UseGlobalMessageDelivery(options, true);
    if (status == NATS_OK)
        status = nats.natsOptions_SetName(options, "freehold");
    return status;
}

static void count_refused(jsCtx *stream, jsPubAckErr *refusal, void *unused)
{
    (void)stream;
    (void)refusal;
    (void)unused;
    atomic_fetch_add(&nats_refused, 1);
}

static natsStatus nats_open_stream(struct nats_broker *broker)
{
    jsOptions options;
    nats.jsOptions_Init(&options);
    options.PublishAsync.ErrHandler = count_refused;
    return nats.natsConnection_JetStream(&broker->stream, broker->connection, &options);
}

static void nats_connect_now(void *argument)
{
    struct connecting *connecting = argument;
    struct nats_broker *broker = connecting->broker;
    natsOptions *options = NULL;
    natsStatus status = nats.natsOptions_Create(&options);
    if (status == NATS_OK)
        status = nats_set_address(options, &broker->options);
    if (status == NATS_OK)
        status = set_behaviour(options, connecting->timeout_ms);
    if (status == NATS_OK)
        status = set_callbacks(options, broker->link);
    if (status == NATS_OK)
        status = nats.natsConnection_Connect(&broker->connection, options);
    if (status == NATS_OK) /* else it calls back for nothing */
        atomic_fetch_add(&broker->link->users, 1);
    if (status == NATS_OK)
        status = nats_open_stream(broker);
    nats.natsOptions_Destroy(options);
    connecting->code = status == NATS_OK ? FH_OK
                                         : nats_failed(broker, "could not be connected to", status,
                                                       0, connecting->error);
}

/* The thread's last call: closing waits for the library's threads. */
static void nats_close_now(void *argument)
{
    struct nats_broker *broker = argument;
    nats.jsCtx_Destroy(broker->stream);
    nats.natsConnection_Destroy(broker->connection);
    link_left(broker->link);
    free(broker);
}

void nats_close(struct broker *base)
{
    struct nats_broker *broker = nats_of(base);
    broker_worker_end(broker->worker, nats_close_now, broker);
}

enum fh_code nats_connect(struct world *world, const json_t *options, int64_t deadline_ns,
                          struct broker **ret, struct fh_error *error)
{
    enum fh_code code = nats_library_load(error);
    struct nats_broker *broker = code ? NULL : calloc(1, sizeof *broker);
    *ret = NULL;
    if (code)
        return code;
    if (!broker || !(broker->link = calloc(1, sizeof *broker->link))) {
        free(broker);
        return error_set(error, FH_NO_MEMORY, "There is no memory for a connection to NATS.");
    }
    atomic_init(&broker->link->users, 1);
    broker->base = (struct broker){.world = world};
    code = nats_options_read(options, &broker->options, error);
    if (!code)
        code = broker_worker_new(world, &broker->worker, error);
    if (code) {
        free(broker->link);
        free(broker);
        return code;
    }
    struct connecting connecting = {
        .broker = broker, .timeout_ms = nats_left_ms(world, deadline_ns), .error = error};
    broker_worker_run(broker->worker, nats_connect_now, &connecting);
    if (connecting.code) {
        nats_close(&broker->base);
        return connecting.code;
    }
    *ret = &broker->base;
    return FH_OK;
}
