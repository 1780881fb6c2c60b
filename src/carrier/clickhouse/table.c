/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A generation is a table, in the owner's database. Nothing that comes late makes one again but
 * `make` itself, whose table is then empty and of a name that is used no more: it is dropped with
 * all that are older.
 *
 * Killed while it makes a table, the server has it or not: it writes what says so aside, syncs and
 * renames it.
 */

#include <string.h>

#include "base/json.h"
#include "carrier/clickhouse/internal.h"

#define TABLE_ALREADY_EXISTS 57 /* it is being made, by another carrier */

static enum fh_code run_table_statement(struct clickhouse *server, const struct text *sql,
                                        struct fh_error *error)
{
    struct clickhouse_call call = {.body = sql->data, .body_length = sql->length};
    FH_ASSERT(!sql->overflow);
    enum fh_code code = clickhouse_ask(server, &call, error);
    bool there = call.number == TABLE_ALREADY_EXISTS;
    clickhouse_call_release(&call);
    return there ? FH_OK : code;
}

/* ---- Whether there is one ---- */

enum fh_code clickhouse_confirm_gone(struct clickhouse *server, const char *table,
                                     int64_t deadline_ns, struct fh_error *error)
{
    struct text sql;
    json_t *rows;
    json_int_t count = -1;
    text_init(&sql, CLICKHOUSE_SMALL);
    text_add(&sql, "SELECT count() FROM system.tables WHERE database = ");
    clickhouse_write_literal(&sql, server->owner, strlen(server->owner));
    text_add(&sql, " AND name = ");
    clickhouse_write_literal(&sql, table, strlen(table));
    text_add(&sql, " FORMAT JSONCompact");
    enum fh_code code = clickhouse_ask_rows(server, &sql, deadline_ns, &rows, error);
    text_release(&sql);
    bool answered = code == FH_OK && json_array_size(rows) == 1 &&
                    json_integer_at(json_array_get(json_array_get(rows, 0), 0), "", &count);
    json_decref(rows);
    if (code == FH_NOT_FOUND || (code == FH_OK && !answered))
        return clickhouse_strange(server, error);
    if (code == FH_OUTCOME_UNKNOWN)
        return error->code = FH_UNAVAILABLE;
    if (code != FH_OK)
        return code;
    if (count)
        return error_retry(error, FH_UNAVAILABLE,
                           "ClickHouse at %.100s had no such table a moment ago.",
                           server->base_url);
    return error_set(error, FH_NOT_FOUND, "ClickHouse at %.100s has no such table.",
                     server->base_url);
}

/* ---- Made ---- */

/* *ret: what it was made by, a new reference; NULL: there is none. */
static enum fh_code read_table_digests(struct clickhouse *server, const char *table, json_t **ret,
                                       struct fh_error *error)
{
    struct text sql;
    text_init(&sql, CLICKHOUSE_SMALL);
    text_add(&sql, "SELECT table, default_expression FROM system.columns WHERE database = ");
    clickhouse_write_literal(&sql, server->owner, strlen(server->owner));
    text_add(&sql, " AND name = 'fh_declared'");
    if (table) {
        text_add(&sql, " AND table = ");
        clickhouse_write_literal(&sql, table, strlen(table));
    }
    text_add(&sql, " FORMAT JSONCompact");
    enum fh_code code = clickhouse_ask_rows(server, &sql, 0, ret, error);
    text_release(&sql);
    return code == FH_NOT_FOUND ? clickhouse_strange(server, error) : code; /* of system.columns */
}

static enum fh_code compare_table_digest(struct clickhouse *server,
                                         const struct fh_derived *declared, const char *table,
                                         struct fh_error *error)
{
    char digest[CLICKHOUSE_DIGEST_SIZE];
    json_t *rows;
    struct text expected;
    enum fh_code code = read_table_digests(server, table, &rows, error);
    if (code != FH_OK)
        return code;
    clickhouse_digest(declared, digest);
    text_init(&expected, CLICKHOUSE_SMALL);
    clickhouse_write_literal(&expected, digest, strlen(digest));
    const char *found = json_string_value(json_array_get(json_array_get(rows, 0), 1));
    if (!found || strcmp(found, expected.data) != 0)
        code = error_set(error, FH_INVALID,
                         "ClickHouse at %.100s has a table of that name by another declaration.",
                         server->base_url);
    if (json_array_size(rows) == 0) /* dropped in between, or somebody else's */
        code = error_retry(error, FH_UNAVAILABLE, "ClickHouse at %.100s has not made a table.",
                           server->base_url);
    text_release(&expected);
    json_decref(rows);
    return code;
}

/* A user that must not make databases is given one. */
static enum fh_code make_clickhouse_database(struct clickhouse *server, struct fh_error *error)
{
    struct text sql;
    text_init(&sql, CLICKHOUSE_SMALL);
    text_add(&sql, "CREATE DATABASE IF NOT EXISTS ");
    clickhouse_write_name(&sql, server->owner);
    enum fh_code code = run_table_statement(server, &sql, error);
    text_release(&sql);
    return code;
}

enum fh_code clickhouse_make(struct carried_server *base, const struct fh_derived *declared,
                             const struct carried_name *generation, struct fh_error *error)
{
    struct clickhouse *server = clickhouse_of(base);
    char table[CLICKHOUSE_TABLE_SIZE];
    struct text sql;
    clickhouse_table(declared, generation, table);
    text_init(&sql, CLICKHOUSE_SMALL);
    clickhouse_write_create(&sql, server, table, declared, generation->kept);
    enum fh_code code = run_table_statement(server, &sql, error);
    if (code == FH_NOT_FOUND) {
        code = make_clickhouse_database(server, error);
        if (code == FH_OK)
            code = run_table_statement(server, &sql, error);
    }
    if (code == FH_NOT_FOUND) /* the database was dropped in between */
        code = error_retry(error, FH_UNAVAILABLE, "%s", error->message);
    if (code == FH_OK)
        code = compare_table_digest(server, declared, table, error);
    text_release(&sql);
    return code;
}

/* ---- Dropped ---- */

enum fh_code clickhouse_drop(struct carried_server *base, const struct fh_derived *declared,
                             const struct carried_name *generation, struct fh_error *error)
{
    struct clickhouse *server = clickhouse_of(base);
    char table[CLICKHOUSE_TABLE_SIZE];
    struct text sql;
    clickhouse_table(declared, generation, table);
    text_init(&sql, CLICKHOUSE_SMALL);
    text_add(&sql, "DROP TABLE IF EXISTS ");
    clickhouse_write_table(&sql, server, table);
    enum fh_code code = run_table_statement(server, &sql, error);
    text_release(&sql);
    return code == FH_NOT_FOUND ? FH_OK : code;
}

/* ---- All of them ---- */

enum fh_code clickhouse_generations(struct carried_server *base, const struct fh_derived *declared,
                                    void (*visit)(void *context, const struct carried_name *name),
                                    void *context, struct fh_error *error)
{
    struct clickhouse *server = clickhouse_of(base);
    json_t *rows;
    size_t i;
    const json_t *row;
    enum fh_code code = read_table_digests(server, NULL, &rows, error);
    if (code != FH_OK)
        return code;
    json_array_foreach (rows, i, row) {
        const char *table = json_string_value(json_array_get(row, 0));
        struct carried_name name = {0};
        if (table && clickhouse_table_read(declared, table, &name))
            visit(context, &name);
    }
    json_decref(rows);
    return FH_OK;
}
