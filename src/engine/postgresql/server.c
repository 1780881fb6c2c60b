/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PostgreSQL servers. A service's user is no superuser and may create neither databases nor users;
 * its database is its own and closed to PUBLIC, and so is the schema `public` in it. On a server
 * with the layout `schemas`, one database serves all; each user has a schema in it and no rights
 * outside. A service with reports has a second user, who may enter its database, and read what the
 * service lets him read.
 *
 * Every statement can be repeated: each checks first what already exists, and the next run repairs
 * a crash in between. An existing user keeps its password, since it may belong to somebody else;
 * logging in at the end with the password we made shows that it is ours. A user's password goes to
 * the server as a SCRAM verifier, so that no log can reveal it.
 */

#define _GNU_SOURCE
#include <glob.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "engine/postgresql/server_link.h"
#include "store/server.h"

#define STATEMENT_SIZE_MAX ((size_t)4096)
#define TABLES_MAX 1000 /* checked in one store */
#define REPORT_FILES_MAX "1GB"
#define TEXT_OF(what) #what
#define TEXT(number) TEXT_OF(number)
#define PROGRAMS "/usr/lib/postgresql/*/bin/postgres"

/* ---- A private one ---- */

static const char *postgresql_server_programs(struct arena *arena)
{
    glob_t found;
    const char *best = NULL;
    long newest = 0;
    if (glob(PROGRAMS, 0, NULL, &found) != 0)
        return NULL;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        long version = strtol(found.gl_pathv[i] + strlen("/usr/lib/postgresql/"), NULL, 10);
        if (version > newest) {
            newest = version;
            best = arena_copy(arena, found.gl_pathv[i],
                              strlen(found.gl_pathv[i]) - strlen("/postgres"));
        }
    }
    globfree(&found);
    return best;
}

static enum fh_code postgresql_server_make(const struct server_own *own,
                                           struct server_command *command, struct fh_error *error)
{
    enum fh_code code = server_secret(own, own->password, error);
    server_argument(command, "%s/initdb", own->programs);
    server_argument(command, "--pgdata=%s", own->data);
    server_argument(command, "--username=" SERVER_SUPERUSER);
    server_argument(command, "--pwfile=%s/" SERVER_SECRET, own->folder);
    server_argument(command, "--auth=scram-sha-256");
    server_argument(command, "--encoding=UTF8");
    server_argument(command, "--locale=C.UTF-8");
    server_argument(command, "--data-checksums");
    return code;
}

static enum fh_code postgresql_server_run(const struct server_own *own,
                                          struct server_command *command, struct fh_error *error)
{
    (void)error;
    server_argument(command, "%s/postgres", own->programs);
    server_argument(command, "-D");
    server_argument(command, "%s", own->data);
    /* Two conflicting units of work are an error to the server, and one runs again: its statement
     * is not worth logging, and may contain somebody's data. */
    server_argument(command, "-c");
    server_argument(command, "log_min_error_statement=panic");
    server_argument(command, "-c");
    server_argument(command, "log_error_verbosity=terse"); /* DETAIL quotes the row */
    server_argument_settings(command, own, "-c", "");
    /* Set last, so that no configured setting can override who may reach the server. */
    server_argument(command, "-c");
    server_argument(command, "listen_addresses=");
    server_argument(command, "-c");
    server_argument(command, "port=" TEXT(POSTGRESQL_PORT));
    server_argument(command, "-c");
    server_argument(command, "unix_socket_directories=%s", own->sockets);
    server_argument(command, "-c");
    server_argument(command, "unix_socket_permissions=0777"); /* its folder says who reaches it */
    return FH_OK;
}

/* It prints one of its settings instead of serving. */
static void postgresql_server_read_settings(const struct server_own *own,
                                            struct server_command *command)
{
    server_argument(command, "%s/postgres", own->programs);
    server_argument(command, "-C"); /* first, or it refuses to be root */
    server_argument(command, "port");
    server_argument(command, "-D");
    server_argument(command, "%s", own->data);
    server_argument(command, "-c");
    server_argument(command, "config_file=/dev/null");
    server_argument_settings(command, own, "-c", "");
}

static const char *postgresql_server_settings_fault(struct arena *arena, int exit_code,
                                                    const char *written)
{
    if (exit_code == 0)
        return NULL;
    const char *fault = server_settings_fault(arena, exit_code, written, "FATAL:  ");
    const char *hint = server_settings_fault(arena, 0, written, "HINT:  ");
    return hint ? arena_printf(arena, "%s; %s", fault, hint) : fault;
}

/* ---- Asking ---- */

/* Stores the first column of the first row in `text`, "" if there is none; NULL: not wanted. */
static enum fh_code postgresql_server_ask(PGconn *link, struct fh_error *error, char *text,
                                          size_t size, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

static enum fh_code postgresql_server_ask(PGconn *link, struct fh_error *error, char *text,
                                          size_t size, const char *format, ...)
{
    char statement[STATEMENT_SIZE_MAX];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(statement, sizeof statement, format, args);
    va_end(args);
    FH_ASSERT(length < (int)sizeof statement);
    PGresult *result = postgresql_pq.PQexec(link, statement);
    ExecStatusType status = postgresql_pq.PQresultStatus(result);
    enum fh_code code = FH_OK;
    if (status == PGRES_TUPLES_OK) {
        if (text)
            snprintf(text, size, "%s",
                     postgresql_pq.PQntuples(result) ? postgresql_pq.PQgetvalue(result, 0, 0) : "");
    } else if (status != PGRES_COMMAND_OK) {
        const char *state = postgresql_pq.PQresultErrorField(result, PG_DIAG_SQLSTATE);
        const char *why = postgresql_pq.PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        code = error_set(error, state ? FH_CONFLICT : FH_UNAVAILABLE, "PostgreSQL: %s",
                         why ? why : "the connection was lost");
        snprintf(error->native, sizeof error->native, "%s", state ? state : "");
    }
    postgresql_pq.PQclear(result);
    return code;
}

#define TELL(link, error, ...) postgresql_server_ask(link, error, NULL, 0, __VA_ARGS__)

static enum fh_code postgresql_server_enter(const json_t *as, struct fh_error *error)
{
    PGconn *link;
    const char *database = server_text(as, "database");
    enum fh_code code =
        postgresql_server_open_link(as, *database ? database : "postgres", &link, error);
    if (code == FH_OK) {
        code = TELL(link, error, "SELECT 1");
        postgresql_pq.PQfinish(link);
    }
    return code;
}

/* ---- Providing ---- */

struct provision_names {
    const char *user, *password, *database, *schema;
    const char *reports, *reports_password; /* "": there is no user for reports */
};

static enum fh_code postgresql_server_make_user(PGconn *link, const struct provision_names *names,
                                                struct fh_error *error)
{
    char there[8];
    enum fh_code code =
        postgresql_server_ask(link, error, there, sizeof there,
                              "SELECT 1 FROM pg_roles WHERE rolname = '%s'", names->user);
    if (code != FH_OK || *there)
        return code;
    char *verifier =
        postgresql_pq.PQencryptPasswordConn(link, names->password, names->user, "scram-sha-256");
    if (!verifier)
        return error_set(error, FH_UNAVAILABLE, "PostgreSQL can't encrypt a password.");
    code = TELL(link, error,
                "CREATE ROLE \"%s\" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION "
                "PASSWORD '%s'",
                names->user, verifier);
    postgresql_pq.PQfreemem(verifier);
    if (code == FH_CONFLICT) { /* who it is for is not in the server's words */
        struct fh_error why = *error;
        return error_set(error, code, "The user %s can't be made: %.120s", names->user,
                         why.message);
    }
    return code;
}

/* Whatever it sorts, its files leave the disk to others. Only a superuser may say so. */
static enum fh_code make_reports_user(PGconn *link, const struct provision_names *names,
                                      bool is_private, struct fh_error *error)
{
    const struct provision_names reports = {.user = names->reports,
                                            .password = names->reports_password};
    enum fh_code code = postgresql_server_make_user(link, &reports, error);
    if (code == FH_OK)
        code = TELL(link, error, "ALTER ROLE \"%s\" SET default_transaction_read_only = on",
                    names->reports);
    if (code == FH_OK && is_private)
        code = TELL(link, error, "ALTER ROLE \"%s\" SET temp_file_limit = '" REPORT_FILES_MAX "'",
                    names->reports);
    return code;
}

static enum fh_code make_database(PGconn *link, const struct provision_names *names,
                                  struct fh_error *error)
{
    char owner[128], super[8];
    enum fh_code code = postgresql_server_ask(
        link, error, owner, sizeof owner,
        "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '%s'", names->database);
    if (code != FH_OK)
        return code;
    if (*owner && !*names->schema && strcmp(owner, names->user) != 0)
        return error_set(error, FH_CONFLICT,
                         "PostgreSQL has a database %s already, and it is the user %s's.",
                         names->database, owner);
    if (*owner)
        return FH_OK;
    code =
        postgresql_server_ask(link, error, super, sizeof super,
                              "SELECT 1 FROM pg_roles WHERE rolname = current_user AND rolsuper");
    /* Without being superuser, a role can give things only to roles of which it is a member. */
    if (code == FH_OK && !*super && !*names->schema)
        code = TELL(link, error, "GRANT \"%s\" TO CURRENT_USER", names->user);
    if (code != FH_OK)
        return code;
    if (*names->schema)
        return TELL(link, error, "CREATE DATABASE \"%s\" TEMPLATE template0 ENCODING 'UTF8'",
                    names->database);
    return TELL(link, error,
                "CREATE DATABASE \"%s\" OWNER \"%s\" TEMPLATE template0 ENCODING 'UTF8'",
                names->database, names->user);
}

static enum fh_code close_database(PGconn *link, const struct provision_names *names,
                                   bool is_private, struct fh_error *error)
{
    enum fh_code code =
        TELL(link, error, "REVOKE ALL ON DATABASE \"%s\" FROM PUBLIC", names->database);
    if (code == FH_OK && *names->schema)
        code = TELL(link, error, "GRANT CONNECT, TEMPORARY ON DATABASE \"%s\" TO \"%s\"",
                    names->database, names->user);
    if (code == FH_OK && is_private)
        code = TELL(link, error, "REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC");
    return code;
}

static enum fh_code make_schema(PGconn *link, const struct provision_names *names, bool is_private,
                                struct fh_error *error)
{
    char owner[128];
    enum fh_code code = TELL(link, error, "REVOKE ALL ON SCHEMA public FROM PUBLIC");
    /* Before PostgreSQL 15 it is not its database's owner's, who could not rename it: beside.c. */
    if (code == FH_OK && !*names->schema && is_private)
        code = TELL(link, error, "ALTER SCHEMA public OWNER TO \"%s\"", names->user);
    if (code == FH_OK && !*names->schema)
        return TELL(link, error, "GRANT ALL ON SCHEMA public TO \"%s\"", names->user);
    if (code == FH_OK)
        code = TELL(link, error, "CREATE SCHEMA IF NOT EXISTS \"%s\" AUTHORIZATION \"%s\"",
                    names->schema, names->user);
    if (code == FH_OK)
        code = postgresql_server_ask(
            link, error, owner, sizeof owner,
            "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = '%s'",
            names->schema);
    if (code == FH_OK && strcmp(owner, names->user) != 0)
        return error_set(error, FH_CONFLICT,
                         "PostgreSQL's database %s has a schema %s already, and it is the user "
                         "%s's.",
                         names->database, names->schema, owner);
    if (code == FH_OK)
        code = TELL(link, error, "REVOKE ALL ON SCHEMA \"%s\" FROM PUBLIC", names->schema);
    if (code == FH_OK)
        code = TELL(link, error, "ALTER ROLE \"%s\" IN DATABASE \"%s\" SET search_path = \"%s\"",
                    names->user, names->database, names->schema);
    return code;
}

/* It may enter, and use the schema. What it may read the service says: report_rights.c. */
static enum fh_code let_reports_in(PGconn *link, const struct provision_names *names,
                                   struct fh_error *error)
{
    enum fh_code code = TELL(link, error, "GRANT CONNECT ON DATABASE \"%s\" TO \"%s\"",
                             names->database, names->reports);
    if (code == FH_OK)
        code = TELL(link, error, "GRANT USAGE ON SCHEMA \"%s\" TO \"%s\"",
                    *names->schema ? names->schema : "public", names->reports);
    return code;
}

/* As the user for reports, whom somebody else may have made. */
static enum fh_code enter_for_reports(const json_t *store, struct fh_error *error)
{
    const json_t *reports = json_object_get(store, "reports");
    json_t *as = json_copy((json_t *)(uintptr_t)store);
    json_object_set(as, "user", json_object_get(reports, "user"));
    json_object_set(as, "password", json_object_get(reports, "password"));
    enum fh_code code = server_entered(as, postgresql_server_enter(as, error), error);
    json_decref(as);
    return code;
}

static enum fh_code postgresql_server_provide(const json_t *admin, const json_t *store,
                                              bool is_private, struct fh_error *error)
{
    const json_t *reports = json_object_get(store, "reports");
    const struct provision_names names = {.user = server_text(store, "user"),
                                          .password = server_text(store, "password"),
                                          .database = server_text(store, "database"),
                                          .schema = server_text(store, "schema"),
                                          .reports = server_text(reports, "user"),
                                          .reports_password = server_text(reports, "password")};
    PGconn *link;
    enum fh_code code = postgresql_server_open_link(admin, "postgres", &link, error);
    if (code != FH_OK)
        return code;
    /* Suppresses notices that something already exists. */
    code = TELL(link, error, "SET client_min_messages = error");
    if (code == FH_OK)
        code = postgresql_server_make_user(link, &names, error);
    if (code == FH_OK && *names.reports)
        code = make_reports_user(link, &names, is_private, error);
    if (code == FH_OK)
        code = make_database(link, &names, error);
    if (code == FH_OK)
        code = close_database(link, &names, is_private, error);
    postgresql_pq.PQfinish(link);
    if (code == FH_OK)
        code = postgresql_server_open_link(admin, names.database, &link, error);
    if (code != FH_OK)
        return code;
    code = TELL(link, error, "SET client_min_messages = error");
    if (code == FH_OK)
        code = make_schema(link, &names, is_private, error);
    if (code == FH_OK && *names.reports)
        code = let_reports_in(link, &names, error);
    postgresql_pq.PQfinish(link);
    return code == FH_OK && *names.reports ? enter_for_reports(store, error) : code;
}

/* ---- Verifying isolation ---- */

/* Lists what this user can do in somebody else's schema: it tries to read each table, and asks
 * whether it may write. The tables' names are in the catalog, which everybody can read. */
static enum fh_code try_schema(PGconn *link, const char *schema, struct text *open,
                               struct fh_error *error)
{
    char query[512], makes[8];
    snprintf(query, sizeof query,
             "SELECT c.relname, has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') "
             "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
             "WHERE n.nspname = '%s' AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY 1 LIMIT %d",
             schema, TABLES_MAX);
    PGresult *tables = postgresql_pq.PQexec(link, query);
    enum fh_code code = FH_OK;
    if (postgresql_pq.PQresultStatus(tables) != PGRES_TUPLES_OK)
        code =
            error_set(error, FH_UNAVAILABLE, "PostgreSQL does not list the tables of %s.", schema);
    for (int i = 0; code == FH_OK && i < postgresql_pq.PQntuples(tables); i++) {
        const char *table = postgresql_pq.PQgetvalue(tables, i, 0);
        bool write = *postgresql_pq.PQgetvalue(tables, i, 1) == 't';
        bool read = TELL(link, ERROR_UNHEEDED, "SELECT 1 FROM \"%s\".\"%s\" LIMIT 1", schema,
                         table) == FH_OK;
        if (read || write)
            text_printf(open, "%s%s %s.%s", open->length ? ", " : "", read ? "read" : "write",
                        schema, table);
    }
    postgresql_pq.PQclear(tables);
    if (code == FH_OK)
        code = postgresql_server_ask(link, error, makes, sizeof makes,
                                     "SELECT has_schema_privilege('%s', 'CREATE')", schema);
    if (code == FH_OK && *makes == 't')
        text_printf(open, "%smake tables in %s", open->length ? ", " : "", schema);
    return code;
}

static enum fh_code postgresql_server_trespass(const json_t *as, const json_t *store,
                                               char ret[SERVER_OPEN_SIZE], struct fh_error *error)
{
    const char *database = server_text(store, "database"), *schema = server_text(store, "schema");
    json_t *there = json_copy((json_t *)(uintptr_t)store);
    struct text open;
    PGconn *link;
    *ret = '\0';
    json_object_set(there, "user", json_object_get(as, "user"));
    json_object_set(there, "password", json_object_get(as, "password"));
    enum fh_code code = postgresql_server_open_link(there, database, &link, error);
    json_decref(there);
    if (code != FH_OK)
        return code == FH_CONFLICT ? FH_OK : code; /* refused, as it must be */
    text_init(&open, STATEMENT_SIZE_MAX);
    if (*schema)
        code = try_schema(link, schema, &open, error);
    else
        text_printf(&open, "enter the database %s", database);
    snprintf(ret, SERVER_OPEN_SIZE, "%s", open.data ? open.data : "");
    text_release(&open);
    postgresql_pq.PQfinish(link);
    return code;
}

static int postgresql_server_connections(int n)
{
    return n + 4; /* 2 for reads, 1 for the sequencer, 1 with which earlier programs settle */
}

static enum fh_code postgresql_server_room(const json_t *as, struct server_room *ret,
                                           struct fh_error *error)
{
    char most[16] = "", now[16] = "";
    PGconn *link;
    enum fh_code code = postgresql_server_open_link(as, server_text(as, "database"), &link, error);
    if (code != FH_OK)
        return code;
    code = postgresql_server_ask(link, error, most, sizeof most,
                                 "SELECT current_setting('max_connections')::int "
                                 "- current_setting('superuser_reserved_connections')::int");
    if (code == FH_OK)
        code = postgresql_server_ask(
            link, error, now, sizeof now,
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'");
    ret->connections_max = (int)strtol(most, NULL, 10);
    ret->connections = (int)strtol(now, NULL, 10) - 1; /* without this one */
    postgresql_pq.PQfinish(link);
    return code;
}

const struct server_kind server_postgresql = {
    .engine = "postgresql",
    .settings = "statement_timeout_ms",
    .install = "apt-get install postgresql",
    .user = "postgres",
    .port = POSTGRESQL_PORT,
    .socket = ".s.PGSQL." TEXT(POSTGRESQL_PORT),
    .schemas = true,
    .reports = true,
    .stop_signal = SIGINT,
    .death_signal = SIGQUIT,
    .connections = postgresql_server_connections,
    .programs = postgresql_server_programs,
    .make = postgresql_server_make,
    .run = postgresql_server_run,
    .read_settings = postgresql_server_read_settings,
    .settings_fault = postgresql_server_settings_fault,
    .enter = postgresql_server_enter,
    .provide = postgresql_server_provide,
    .trespass = postgresql_server_trespass,
    .room = postgresql_server_room,
};
