/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to the server, and what its errors mean.
 *
 * Each client of the library has one connection and is used by one job of the pool at a time; one
 * that could not reach the server is made again. None has threads of its own or wakes up while it
 * is idle. A fiber that finds none free waits in a queue.
 *
 * Writes ask for the majority and its journals, reads for what a majority has: an answer of the
 * server's is final. The library never repeats a write: that is up to callers who know what the
 * write means.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/mongodb/internal.h"
#include "store/tls_openssl.h"

struct mongodb_client {
    mongoc_client_t *native;
    struct mongodb_client *next;
};

/* ---- What errors mean ---- */

/* The server is shutting down, or is not the primary. */
static bool is_away(uint32_t code)
{
    static const uint32_t codes[] = {6,     7,     89,    91,    189,   262,  9001,
                                     10058, 10107, 11600, 11602, 13435, 13436};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i] == code)
            return true;
    }
    return false;
}

static enum fh_code refuse_client_call(const bson_error_t *why, struct fh_error *error)
{
    enum { DUPLICATE = 11000, WRITE_CONFLICT = 112, UNAUTHORIZED = 13, AUTHENTICATION = 18 };
    enum fh_code code;
    switch (why->code) {
    case DUPLICATE:
    case WRITE_CONFLICT:
        code = error_retry(error, FH_CONFLICT, "Another one has written the same document.");
        return code;
    case UNAUTHORIZED:
    case AUTHENTICATION:
        return error_set(error, FH_UNAVAILABLE, "The database refuses the service's user: %.160s",
                         why->message);
    default:
        return error_set(error, FH_UNSUPPORTED, "The database refused it: %.200s", why->message);
    }
}

enum fh_code mongodb_failed(const bson_error_t *why, struct fh_error *error)
{
    bool answered = why->domain == MONGOC_ERROR_SERVER || why->domain == MONGOC_ERROR_BSON ||
                    why->domain == MONGOC_ERROR_COMMAND;
    enum fh_code code = answered && !is_away(why->code)
                            ? refuse_client_call(why, error)
                            : error_set(error, FH_UNAVAILABLE,
                                        "The database can't be reached: %.180s", why->message);
    snprintf(error->native, sizeof error->native, "%u.%u", why->domain, why->code);
    return code;
}

/* ---- Calls ---- */

struct job {
    struct mongodb_call *call;
    struct mongodb_reach *reach;
    struct mongodb_client *client;
    enum fh_code code;
    struct fh_error error;
};

static void mongodb_job_run(void *argument)
{
    struct job *job = argument;
    if (!job->client->native) {
        job->client->native = mongodb_client_new(job->reach);
        if (job->client->native)
            mongoc.mongoc_client_set_error_api(job->client->native, MONGOC_ERROR_API_VERSION_2);
    }
    job->call->client = job->client->native;
    if (job->call->client)
        job->code = job->call->run(job->call, &job->error);
    else
        job->code = error_set(&job->error, FH_UNAVAILABLE, "No connection could be made.");
    if (job->code == FH_UNAVAILABLE && job->client->native) {
        /* A failed one would not retry for 5 s, though the server may be back. */
        mongoc.mongoc_client_destroy(job->client->native);
        job->client->native = NULL;
    }
}

static struct mongodb_client *client_take(struct mongodb *mongodb)
{
    int64_t deadline_ns = world_in_ms(mongodb->store.world, MONGODB_WAIT_MS);
    for (;;) {
        struct mongodb_client *client = mongodb->idle;
        if (client) {
            mongodb->idle = client->next;
            return client;
        }
        if (mongodb->client_count < mongodb->client_max) {
            mongodb->client_count++;
            client = calloc(1, sizeof *client);
            FH_ASSERT(client != NULL);
            return client;
        }
        if (!fiber_wait_until(&mongodb->for_client, mongodb->store.world, deadline_ns))
            return NULL;
    }
}

/* The library's error codes say that the handshake failed, but not why; a server that rejects the
 * client just hangs up, since the protocol has no message for that. */
bool mongodb_tls_failed(const char *host, const char *said, struct fh_error *error)
{
    static const struct store_tls_words known[] = {
        STORE_TLS_OPENSSL_WORDS,
        {"connection closed calling hello", STORE_TLS_HUNG_UP},
        {"socket timeout calling hello", STORE_TLS_HUNG_UP},
        {"Failed to write rpc bytes. calling hello", STORE_TLS_HUNG_UP},
        {"Failed to receive length header from server. calling hello", STORE_TLS_HUNG_UP},
        {"TLS handshake failed: Connection reset by peer", STORE_TLS_HUNG_UP},
        {"TLS handshake failed: Broken pipe", STORE_TLS_HUNG_UP},
        {"TLS handshake failed: Connection timed out", STORE_TLS_HUNG_UP}, /* it closed */
        {NULL, STORE_TLS_UNKNOWN}};
    return store_tls_failed(host, store_tls_said(known, said), error);
}

enum fh_code mongodb_call(struct mongodb *mongodb, struct mongodb_call *call,
                          struct fh_error *error)
{
    struct job job = {
        .call = call, .reach = &mongodb->reach, .client = client_take(mongodb), .code = FH_OK};
    if (!job.client)
        return error_set(error, FH_UNAVAILABLE, "The store's connections are all busy.");
    call->database = mongodb->database;
    call->nesting = mongodb->nesting;
    world_blocking(mongodb->store.world, mongodb_job_run, &job);
    job.client->next = mongodb->idle;
    mongodb->idle = job.client;
    fiber_wake_one(&mongodb->for_client);
    if (job.code == FH_UNAVAILABLE && mongodb->tls_host)
        mongodb_tls_failed(mongodb->tls_host, job.error.message, &job.error);
    if (job.code && error)
        *error = job.error;
    return job.code;
}

mongoc_collection_t *mongodb_collection(const struct mongodb_call *call, const char *name)
{
    return mongoc.mongoc_client_get_collection(call->client, call->database, name);
}

enum fh_code mongodb_ask(const struct mongodb_call *call, const char *command, bson_t *ret,
                         struct fh_error *error)
{
    bson_t asked;
    bson_error_t why;
    mongoc.bson_init(&asked);
    mongoc.bson_append_int64(&asked, command, -1, 1);
    bool answered =
        mongoc.mongoc_client_command_simple(call->client, "admin", &asked, NULL, ret, &why);
    mongoc.bson_destroy(&asked);
    return answered ? FH_OK : mongodb_failed(&why, error);
}

static enum fh_code visit_run(struct mongodb_call *call, struct fh_error *error)
{
    struct mongodb_visit *visit = (struct mongodb_visit *)call;
    mongoc_collection_t *collection = mongodb_collection(call, visit->collection);
    mongoc_cursor_t *cursor =
        mongoc.mongoc_collection_find_with_opts(collection, visit->filter, visit->options, NULL);
    const bson_t *document;
    bson_error_t why;
    enum fh_code code = FH_OK;
    bool goes_on = true;
    while (goes_on && mongoc.mongoc_cursor_next(cursor, &document))
        goes_on = visit->visit(visit, document);
    if (goes_on && mongoc.mongoc_cursor_error(cursor, &why))
        code = mongodb_failed(&why, error);
    mongoc.mongoc_cursor_destroy(cursor);
    mongoc.mongoc_collection_destroy(collection);
    return code;
}

enum fh_code mongodb_visit(struct mongodb *mongodb, struct mongodb_visit *visit,
                           struct fh_error *error)
{
    visit->call.run = visit_run;
    return mongodb_call(mongodb, &visit->call, error);
}

void mongodb_back_off(struct mongodb *mongodb, int tries)
{
    int64_t pause_ms = MONGODB_BACKOFF_MS_MIN;
    for (int i = 0; i < tries && pause_ms < MONGODB_BACKOFF_MS_MAX; i++)
        pause_ms *= 2;
    struct world *world = mongodb->store.world;
    pause_ms = pause_ms / 2 + (int64_t)world_random_below(world, (uint64_t)pause_ms);
    fiber_sleep_until(world, world_in_ms(world, pause_ms));
}

/* ---- Connecting and disconnecting ---- */

struct greeting {
    struct mongodb_call call; /* first */
    bool is_ferretdb;
};

static enum fh_code greet_server(struct mongodb_call *call, struct fh_error *error)
{
    struct greeting *greeting = (struct greeting *)call;
    bson_t reply;
    bson_iter_t at;
    enum fh_code code = mongodb_ask(call, "buildInfo", &reply, error);
    greeting->is_ferretdb = !code && (mongoc.bson_iter_init_find(&at, &reply, "ferretdb") ||
                                      mongoc.bson_iter_init_find(&at, &reply, "ferretdbVersion"));
    mongoc.bson_destroy(&reply);
    return code;
}

enum fh_code mongodb_connect(struct mongodb *mongodb, const struct store_options *options,
                             struct fh_error *error)
{
    const char *database = json_string_at(options->server, "database");
    json_int_t connections = MONGODB_CONNECTIONS;
    struct store_tls tls;
    json_integer_at(options->server, "connections", &connections);
    if (!database || !*database || strlen(database) >= sizeof mongodb->database)
        return error_set(error, FH_INVALID,
                         "The store's configuration must name a database of 1 to %zu bytes.",
                         sizeof mongodb->database - 1);
    if (connections < 1 || connections > MONGODB_CONNECTIONS_MAX)
        return error_set(error, FH_INVALID, "The store's connections are from 1 to %d.",
                         MONGODB_CONNECTIONS_MAX);
    snprintf(mongodb->database, sizeof mongodb->database, "%s", database);
    mongodb->client_max = (int)connections;
    enum fh_code code = mongodb_reach_init(&mongodb->reach, options->server, error);
    if (!code && store_tls_read(options->server, &tls, ERROR_UNHEEDED) == FH_OK && tls.verify)
        mongodb->tls_host = json_string_at(options->server, "host");
    int64_t deadline_ns = world_in_ms(mongodb->store.world, MONGODB_OPEN_MS);
    struct greeting greeting = {.call.run = greet_server};
    for (int tries = 0; !code; tries++) {
        code = mongodb_call(mongodb, &greeting.call, error);
        if (code != FH_UNAVAILABLE || store_tls_is_failure(error) ||
            world_monotonic_ns(mongodb->store.world) > deadline_ns)
            break;
        code = FH_OK;
        mongodb_back_off(mongodb, tries);
    }
    mongodb->nesting = greeting.is_ferretdb ? MONGODB_WRAPPED : MONGODB_NESTED;
    if (greeting.is_ferretdb)
        mongodb->store.lacks = "The store's server " MONGODB_FERRETDB_LACKS ".";
    return code;
}

/* Off the event loop: each client takes leave of its server first. */
static void destroy_run(void *argument)
{
    for (struct mongodb_client *client = argument; client; client = client->next) {
        if (client->native)
            mongoc.mongoc_client_destroy(client->native);
    }
}

void mongodb_disconnect(struct mongodb *mongodb)
{
    if (mongodb->idle)
        world_blocking(mongodb->store.world, destroy_run, mongodb->idle);
    while (mongodb->idle) {
        struct mongodb_client *client = mongodb->idle;
        mongodb->idle = client->next;
        free(client);
    }
    mongodb_reach_release(&mongodb->reach);
}
