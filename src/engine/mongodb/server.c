/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MongoDB, and servers that speak its protocol. A service's user belongs to its own database, with
 * the roles readWrite and dbAdmin there and none elsewhere. An existing store may have no user, on
 * a server without access control; then nobody is kept out, and `check --live` says so.
 *
 * Private servers are FerretDB 1.x with its SQLite backend: Debian has no mongod. FerretDB knows
 * users but no privileges: anyone let in can reach everything. So a shared one isolates nothing,
 * but a private one lets in its own service alone. It takes its superuser from its environment,
 * which only it and root can read.
 */

#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "engine/mongodb/internal.h"
#include "store/server.h"
#include "store/tls.h"

#define TEXT_OF(what) #what
#define TEXT(number) TEXT_OF(number)
#define PORT 27017
#define MONGODB_SOCKET "mongodb-" TEXT(PORT) ".sock"
#define PROGRAM "ferretdb"

static int mongodb_connections(int n)
{
    return n; /* shared by units of work, reads and everything else */
}

/* ---- A private server ---- */

/* No Debian package contains it, so it may be anywhere on the PATH. */
static const char *mongodb_programs(struct arena *arena)
{
    const char *path = getenv("PATH");
    while (path && *path) {
        size_t length = strcspn(path, ":");
        const char *folder = arena_copy(arena, path, length);
        if (*folder == '/' && access(arena_printf(arena, "%s/" PROGRAM, folder), X_OK) == 0)
            return folder;
        path += length + (path[length] == ':');
    }
    return NULL;
}

static enum fh_code mongodb_run(const struct server_own *own, struct server_command *command,
                                struct fh_error *error)
{
    (void)error;
    server_argument(command, "%s/" PROGRAM, own->programs);
    server_argument(command, "--log-level=error");
    server_argument_settings(command, own, NULL, "--");
    /* Ours come last and so prevail: who may reach the server must not depend on settings. */
    server_argument(command, "--handler=sqlite");
    server_argument(command, "--sqlite-url=file:%s/", own->data);
    server_argument(command, "--state-dir=%s", own->data);
    server_argument(command, "--listen-addr=");
    server_argument(command, "--listen-tls=");
    server_argument(command, "--listen-unix=data/%s/" MONGODB_SOCKET, own->sockets);
    server_argument(command, "--debug-addr=-");
    server_argument(command, "--telemetry=disable");
    server_argument(command, "--test-enable-new-auth");
    server_argument(command, "--setup-database=admin");
    server_argument(command, "--setup-username=" SERVER_SUPERUSER);
    command->secret_name = "FERRETDB_SETUP_PASSWORD";
    command->secret = own->password;
    return FH_OK;
}

/* Names alone: values are judged when it serves. */
static void mongodb_read_settings(const struct server_own *own, struct server_command *command)
{
    server_argument(command, "%s/" PROGRAM, own->programs);
    server_argument_settings(command, own, NULL, "--");
    server_argument(command, "--version");
}

static const char *mongodb_settings_fault(struct arena *arena, int exit_code, const char *written)
{
    return server_settings_fault(arena, exit_code, written, PROGRAM ": error: ");
}

/* ---- Commands ---- */

/* Tells a refusal from an unreachable server by the error: a refused user gets an answer at
 * once. */
static enum fh_code server_call_failed(const bson_error_t *why, struct fh_error *error)
{
    enum { UNAUTHORIZED = 13, AUTHENTICATION = 18 };
    bool refused = why->domain == MONGOC_ERROR_CLIENT || why->code == UNAUTHORIZED ||
                   why->code == AUTHENTICATION;
    return error_set(error, refused ? FH_CONFLICT : FH_UNAVAILABLE, "MongoDB: %.200s",
                     why->message);
}

/* Runs one command in `database`; takes `command`. The caller destroys the reply, whatever the
 * outcome. */
static enum fh_code mongodb_ask_server(const json_t *as, const char *database, json_t *command,
                                       bson_t *reply, struct fh_error *error)
{
    struct mongodb_reach reach;
    bson_error_t why;
    enum fh_code code = mongodb_load(error);
    if (code != FH_OK) {
        json_decref(command);
        return code;
    }
    code = mongodb_reach_init(&reach, as, error);
    if (code != FH_OK) {
        mongodb_reach_release(&reach);
        json_decref(command);
        return code;
    }
    char *text = json_text(command);
    bson_t *asked = mongoc.bson_new_from_json((const uint8_t *)text, -1, &why);
    mongoc_client_t *client = mongodb_client_new(&reach);
    FH_ASSERT(asked != NULL && client != NULL);
    json_text_free(text);
    json_decref(command);
    if (!mongoc.mongoc_client_command_simple(client, database, asked, NULL, reply, &why))
        code = server_call_failed(&why, error);
    if (code == FH_UNAVAILABLE &&
        strcmp(server_text(json_object_get(as, "tls"), "mode"), "verify") == 0)
        mongodb_tls_failed(server_text(as, "host"), why.message, error);
    mongoc.bson_destroy(asked);
    mongoc.mongoc_client_destroy(client);
    mongodb_reach_release(&reach);
    return code;
}

/* The same, if the reply is of no interest. */
static enum fh_code mongodb_do_command(const json_t *as, const char *database, json_t *command,
                                       struct fh_error *error)
{
    bson_t reply = BSON_INITIALIZER;
    enum fh_code code = mongodb_ask_server(as, database, command, &reply, error);
    if (mongoc.bson_destroy)
        mongoc.bson_destroy(&reply);
    return code;
}

/* Without a database: the user that creates the others. */
static enum fh_code mongodb_server_enter(const json_t *as, struct fh_error *error)
{
    const char *database = server_text(as, "database");
    return mongodb_do_command(as, *database ? database : "admin",
                              json_pack("{s:i}", "listCollections", 1), error);
}

/* ---- Providing ---- */

static enum fh_code find_in_reply(const json_t *admin, const char *database, json_t *command,
                                  const char *found, bool *ret, struct fh_error *error)
{
    bson_t reply = BSON_INITIALIZER;
    bson_iter_t at, value;
    enum fh_code code = mongodb_ask_server(admin, database, command, &reply, error);
    *ret = code == FH_OK && mongoc.bson_iter_init(&at, &reply) &&
           mongoc.bson_iter_find_descendant(&at, found, &value);
    if (mongoc.bson_destroy)
        mongoc.bson_destroy(&reply);
    return code;
}

static enum fh_code make_mongodb_user(const json_t *admin, const json_t *store,
                                      struct fh_error *error)
{
    const char *user = server_text(store, "user"), *database = server_text(store, "database");
    bool there = false, knows_no_roles = false;
    enum fh_code code = find_in_reply(admin, database, json_pack("{s:s}", "usersInfo", user),
                                      "users.0", &there, error);
    if (code != FH_OK || there)
        return code;
    code = find_in_reply(admin, database, json_pack("{s:i}", "listCollections", 1),
                         "cursor.firstBatch.0", &there, error);
    if (code == FH_OK && there)
        return server_anothers("MongoDB", database, error);
    if (code == FH_OK)
        code = find_in_reply(admin, "admin", json_pack("{s:i}", "buildInfo", 1), "ferretdbVersion",
                             &knows_no_roles, error);
    json_t *roles = json_array(), *given = NULL;
    if (!knows_no_roles)
        json_array_extend(roles, given = json_pack("[s, s]", "readWrite", "dbAdmin"));
    json_decref(given);
    json_t *command = json_pack("{s:s, s:s, s:o}", "createUser", user, "pwd",
                                server_text(store, "password"), "roles", roles);
    if (code == FH_OK)
        return mongodb_do_command(admin, database, command, error);
    json_decref(command);
    return code;
}

static enum fh_code mongodb_provide(const json_t *admin, const json_t *store, bool is_private,
                                    struct fh_error *error)
{
    (void)is_private;
    return make_mongodb_user(admin, store, error);
}

/* ---- Verifying isolation ---- */

static enum fh_code mongodb_trespass(const json_t *as, const json_t *store,
                                     char ret[SERVER_OPEN_SIZE], struct fh_error *error)
{
    json_t *there = json_copy((json_t *)(uintptr_t)as);
    json_object_set(there, "host", json_object_get(store, "host"));
    json_object_set(there, "port", json_object_get(store, "port"));
    json_object_set(there, "tls", json_object_get(store, "tls"));
    enum fh_code code = mongodb_do_command(there, server_text(store, "database"),
                                           json_pack("{s:i}", "listCollections", 1), error);
    json_decref(there);
    *ret = '\0';
    if (code == FH_OK)
        snprintf(ret, SERVER_OPEN_SIZE, "look into the database %s",
                 server_text(store, "database"));
    return code == FH_CONFLICT ? FH_OK : code; /* refused, as it should be */
}

static int count_at(const bson_t *reply, const char *path)
{
    bson_iter_t at, value;
    if (!mongoc.bson_iter_init(&at, reply) || !mongoc.bson_iter_find_descendant(&at, path, &value))
        return -1;
    return mongoc.bson_iter_type(&value) == BSON_TYPE_INT32 ? mongoc.bson_iter_int32(&value)
                                                            : (int)mongoc.bson_iter_int64(&value);
}

static enum fh_code mongodb_room(const json_t *as, struct server_room *ret, struct fh_error *error)
{
    bson_t reply = BSON_INITIALIZER;
    enum fh_code code =
        mongodb_ask_server(as, "admin", json_pack("{s:i}", "serverStatus", 1), &reply, error);
    if (code != FH_OK)
        return code;
    ret->connections = count_at(&reply, "connections.current");
    int available = count_at(&reply, "connections.available");
    mongoc.bson_destroy(&reply);
    ret->connections_max = available < 0 ? available : ret->connections + available;
    return FH_OK;
}

const struct server_kind server_mongodb = {
    .engine = "mongodb",
    .settings = "",
    .install = "put FerretDB 1.x's " PROGRAM " on the PATH",
    .port = PORT,
    .socket = MONGODB_SOCKET,
    .userless = true,
    .lacks = "its private server " MONGODB_FERRETDB_LACKS,
    .stop_signal = SIGTERM,
    .death_signal = SIGKILL,
    .connections = mongodb_connections,
    .programs = mongodb_programs,
    .make = server_make_folder,
    .run = mongodb_run,
    .read_settings = mongodb_read_settings,
    .settings_fault = mongodb_settings_fault,
    .enter = mongodb_server_enter,
    .provide = mongodb_provide,
    .trespass = mongodb_trespass,
    .room = mongodb_room,
};
