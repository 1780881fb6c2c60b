/* SPDX-License-Identifier: Apache-2.0 */
/* Blocking connections for server.c, and what the server says when it refuses one. */

#define _GNU_SOURCE
#include "engine/postgresql/server_link.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "engine/postgresql/gate.h"

static const char *or_null(const char *text)
{
    return *text ? text : NULL;
}

/* The SQLSTATE in 'connection to server at ... failed: FATAL:  28P01: password ...'. */
static void find_state(const char *said, char state[static 6])
{
    const char *at = said;
    *state = '\0';
    while ((at = strstr(at, ":  ")) && strspn(at += 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 5)
        ;
    if (at)
        snprintf(state, 6, "%s", at);
}

/* The server knows the user and denies access. */
static bool postgresql_server_is_refusal(const char *state)
{
    return strncmp(state, "28", 2) == 0 || strcmp(state, "3D000") == 0 ||
           strcmp(state, "42501") == 0;
}

static enum fh_code postgresql_server_refused(PGconn *link, const json_t *as,
                                              struct fh_error *error)
{
    char said[sizeof error->message], state[6];
    snprintf(said, sizeof said, "%s", postgresql_pq.PQerrorMessage(link));
    said[strcspn(said, "\n")] = '\0';
    find_state(said, state);
    enum fh_code code =
        error_set(error, postgresql_server_is_refusal(state) ? FH_CONFLICT : FH_UNAVAILABLE,
                  "PostgreSQL, as %s: %s", server_text(as, "user"), *said ? said : "no answer");
    if (code == FH_UNAVAILABLE && postgresql_tls_failed(server_text(as, "host"), said, error))
        return code;
    snprintf(error->native, sizeof error->native, "%s", state);
    return code;
}

/* PQconnectdb gives no SQLSTATE. */
static bool await_server_link(PGconn *link, struct postgresql_gate *gate)
{
    postgresql_pq.PQsetErrorVerbosity(link, PQERRORS_VERBOSE);
    for (PostgresPollingStatusType status = PGRES_POLLING_WRITING;;) {
        if (status == PGRES_POLLING_OK || status == PGRES_POLLING_FAILED)
            return status == PGRES_POLLING_OK;
        struct pollfd wanted = {.fd = postgresql_gate_socket(gate, link),
                                .events = status == PGRES_POLLING_WRITING ? POLLOUT : POLLIN};
        if (wanted.fd < 0 || poll(&wanted, 1, SERVER_CONNECT_S_MAX * 1000) <= 0)
            return false;
        status = postgresql_gate_poll(gate, link);
    }
}

static enum fh_code connect_server_link(PGconn *link, const json_t *as, struct fh_error *error)
{
    struct postgresql_gate gate;
    bool tls = strcmp(server_text(json_object_get(as, "tls"), "mode"), "verify") == 0;
    postgresql_gate_init(&gate,
                         *server_text(as, "host") != '/' && !tls && *server_text(as, "password"));
    bool connected =
        postgresql_pq.PQstatus(link) != CONNECTION_BAD && await_server_link(link, &gate);
    postgresql_gate_release(&gate);
    if (connected)
        return FH_OK;
    return gate.refused ? error_set(error, FH_UNAVAILABLE, "%s", gate.refused)
                        : postgresql_server_refused(link, as, error);
}

/* `host`: as in `as`, or a shorter path of the same folder. */
static PGconn *start_server_link(const json_t *as, const char *host, const char *database)
{
    const json_t *tls = json_object_get(as, "tls");
    bool verify = strcmp(server_text(tls, "mode"), "verify") == 0;
    char port[16];
    const char *keys[] = {"host",
                          "port",
                          "user",
                          "password",
                          "dbname",
                          "sslmode",
                          "sslcert",
                          "sslrootcert",
                          "sslkey",
                          "passfile",
                          "gssencmode",
                          "client_encoding",
                          "channel_binding",
                          NULL};
    const char *values[] = {host,
                            port,
                            server_text(as, "user"),
                            server_text(as, "password"),
                            database,
                            verify ? "verify-full" : "disable",
                            or_null(server_text(tls, "certificate")),
                            or_null(server_text(tls, "ca")),
                            or_null(server_text(tls, "key")),
                            "/dev/null",
                            "disable",
                            "UTF8",
                            verify && *server_text(as, "password") ? "require" : NULL,
                            NULL};
    snprintf(port, sizeof port, "%d", server_port(as, POSTGRESQL_PORT));
    PGconn *link = postgresql_pq.PQconnectStartParams(keys, values, 0);
    FH_ASSERT(link != NULL);
    return link;
}

/* Nothing has been sent by then. */
static enum fh_code start_local_server_link(const json_t *as, const char *database, PGconn **ret,
                                            struct fh_error *error)
{
    const char *host = server_text(as, "host");
    char name[POSTGRESQL_SOCKET_SIZE];
    struct store_socket socket;
    postgresql_socket_name(server_port(as, POSTGRESQL_PORT), name);
    enum fh_code code = store_socket_open(host, sizeof name, &socket, error);
    if (code != FH_OK)
        return code;
    *ret = start_server_link(as, socket.folder, database);
    store_socket_close(&socket);
    if (postgresql_pq.PQstatus(*ret) == CONNECTION_BAD)
        return FH_OK; /* postgresql_server_open_link says why */
    code = store_socket_check(postgresql_pq.PQsocket(*ret), host, name, error);
    if (code != FH_OK)
        postgresql_pq.PQfinish(*ret);
    return code;
}

enum fh_code postgresql_server_open_link(const json_t *as, const char *database, PGconn **ret,
                                         struct fh_error *error)
{
    const char *host = server_text(as, "host");
    enum fh_code code = postgresql_load(error);
    if (code == FH_OK && *host == '/')
        code = start_local_server_link(as, database, ret, error);
    else if (code == FH_OK)
        *ret = start_server_link(as, host, database);
    if (code != FH_OK)
        return code;
    code = connect_server_link(*ret, as, error);
    if (code != FH_OK)
        postgresql_pq.PQfinish(*ret);
    return code;
}
