/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link is a connection outside any store's set, in a store that is nothing but options. It is
 * never a pipeline: its state stays CONNECTING, in which texts are answered one by one.
 *
 * Whoever waits looks every LOOK_MS whether all of them are to end: nothing can be woken from
 * elsewhere that waits for a socket.
 */

#include "engine/postgresql/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/postgresql/internal.h"

struct postgresql_links {
    struct postgresql_store store;
    bool ended;
};

struct postgresql_link {
    struct postgresql_connection connection;
    struct postgresql_links *links;
};

/* Nothing of the server's is found by a name alone but its own. */
#define LINK_SCHEMA "pg_catalog"

enum fh_code postgresql_links_check(const json_t *options, struct fh_error *error)
{
    struct postgresql_options read;
    enum fh_code code = postgresql_options_read(options, &read, error);
    return code == FH_OK ? postgresql_load(error) : code;
}

enum fh_code postgresql_links_new(struct world *world, const json_t *options,
                                  struct postgresql_links **ret, struct fh_error *error)
{
    enum fh_code code = postgresql_links_check(options, error);
    *ret = NULL;
    if (code != FH_OK)
        return code;
    struct postgresql_links *links = calloc(1, sizeof *links);
    FH_ASSERT(links != NULL);
    struct postgresql_store *store = &links->store;
    postgresql_options_read(options, &store->options, ERROR_UNHEEDED);
    snprintf(store->options.schema, sizeof store->options.schema, LINK_SCHEMA);
    snprintf(store->application, sizeof store->application, "freehold derived");
    store->base.world = world;
    *ret = links;
    return FH_OK;
}

void postgresql_links_free(struct postgresql_links *links)
{
    if (links)
        explicit_bzero(&links->store.options, sizeof links->store.options);
    free(links);
}

void postgresql_links_end(struct postgresql_links *links)
{
    links->ended = true;
}

bool postgresql_links_ended(const struct postgresql_links *links)
{
    return links->ended;
}

struct postgresql_link *postgresql_link_new(struct postgresql_links *links)
{
    struct postgresql_link *link = calloc(1, sizeof *link);
    FH_ASSERT(link != NULL);
    link->links = links;
    link->connection.store = &links->store;
    link->connection.ended = &links->ended;
    postgresql_pipeline_init(&link->connection);
    return link;
}

void postgresql_link_close(struct postgresql_link *link)
{
    postgresql_disconnect(&link->connection);
}

void postgresql_link_free(struct postgresql_link *link)
{
    if (!link)
        return;
    postgresql_link_close(link);
    free(link);
}

bool postgresql_link_is_open(const struct postgresql_link *link)
{
    return link->connection.state != CONNECTION_DOWN;
}

bool postgresql_link_is_within(const struct postgresql_link *link)
{
    return postgresql_link_is_open(link) &&
           postgresql_pq.PQtransactionStatus(link->connection.pg) != PQTRANS_IDLE;
}

enum fh_code postgresql_link_open(struct postgresql_link *link, int64_t deadline_ns,
                                  struct fh_error *error)
{
    struct world *world = link->links->store.base.world;
    int64_t most_ns = world_in_ms(world, POSTGRESQL_CONNECT_MS);
    if (link->links->ended)
        return postgresql_lost_error(error);
    enum fh_code code = postgresql_connect_alone(
        &link->connection, deadline_ns < most_ns ? deadline_ns : most_ns, error);
    if (code == FH_OK && link->links->ended)
        code = postgresql_lost_error(error);
    if (code != FH_OK)
        postgresql_link_close(link);
    return code;
}

/* ---- Asking ---- */

/* False: the link broke, its time is over, or all are to end. *ret NULL: there is no more. */
static bool next_link_result(struct postgresql_link *link, struct postgresql_request *request,
                             PGresult **ret)
{
    struct world *world = link->links->store.base.world;
    PGconn *pg = link->connection.pg;
    for (;;) {
        int left = postgresql_pq.PQflush(pg);
        if (left < 0 || link->links->ended)
            return false;
        if (left == 0 && !postgresql_pq.PQisBusy(pg))
            break;
        if (world_monotonic_ns(world) >= request->deadline_ns) {
            request->late = true;
            return false;
        }
        unsigned held = world_wait_for(
            world, postgresql_pq.PQsocket(pg), WORLD_READABLE | (left ? WORLD_WRITABLE : 0),
            postgresql_looks_ns(&link->connection, request->deadline_ns));
        if (held & WORLD_READABLE && postgresql_pq.PQconsumeInput(pg) != 1)
            return false;
    }
    *ret = postgresql_pq.PQgetResult(pg);
    return true;
}

/* False: it is no answer, and the link is of no use any more. */
static bool take_link_result(struct postgresql_request *request, PGresult *result)
{
    ExecStatusType status = postgresql_pq.PQresultStatus(result);
    postgresql_pq.PQclear(request->result);
    request->result = NULL;
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        request->result = result;
        return true;
    }
    const char *state = status == PGRES_FATAL_ERROR
                            ? postgresql_pq.PQresultErrorField(result, PG_DIAG_SQLSTATE)
                            : NULL;
    snprintf(request->state, sizeof request->state, "%s", state ? state : "");
    postgresql_pq.PQclear(result);
    return request->state[0] != '\0';
}

bool postgresql_link_ask(struct postgresql_link *link, struct postgresql_request *request)
{
    PGconn *pg = link->connection.pg;
    PGresult *result;
    request->result = NULL;
    request->state[0] = '\0';
    request->late = false;
    if (!postgresql_link_is_open(link))
        return false;
    int sent = request->count
                   ? postgresql_pq.PQsendQueryParams(pg, request->sql, request->count, NULL,
                                                     request->values, NULL, NULL, 0)
                   : postgresql_pq.PQsendQuery(pg, request->sql);
    while (sent == 1 && next_link_result(link, request, &result)) {
        if (!result) {
            if (!request->result && !request->state[0])
                break;
            return !request->state[0];
        }
        if (!take_link_result(request, result))
            break;
    }
    postgresql_pq.PQclear(request->result);
    request->result = NULL;
    request->state[0] = '\0';
    postgresql_link_close(link);
    return false;
}
