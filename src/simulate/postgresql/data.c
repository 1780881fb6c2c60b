/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A database is a list of versions: each commit's changeset makes the next one of the one before.
 * A view is a SQLite database in memory that stands at one of them; before it is used again the
 * changes since are applied to it. One view is kept at the newest version. Where tables are made,
 * all are copied from that.
 *
 * SQLite records changes of tables that have a primary key, so all must have one.
 */

#include "simulate/postgresql/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define ROW_SIZE 400
#define FAR 200 /* versions: then a copy is cheaper */

/* ---- views ---- */

static void statements_release(struct model_view *view)
{
    struct map_entry *entry = NULL;
    const char *text;
    void *statement;
    while (map_next(&view->statements, &entry, &text, &statement))
        sqlite3_finalize(statement);
    map_release(&view->statements);
    map_init(&view->statements);
}

bool model_view_runs(struct model_view *view, const char *sql)
{
    char *why = NULL;
    if (sqlite3_exec(view->sql, sql, NULL, NULL, &why) == SQLITE_OK)
        return true;
    model_fail(view->database->server, "SQLite: %.200s: %s", sql, why);
    sqlite3_free(why);
    return false;
}

sqlite3_stmt *model_view_prepare(struct model_view *view, const char *sql)
{
    sqlite3_stmt *statement = map_get(&view->statements, sql);
    if (statement) {
        sqlite3_reset(statement);
        sqlite3_clear_bindings(statement);
        return statement;
    }
    if (sqlite3_prepare_v2(view->sql, sql, -1, &statement, NULL) != SQLITE_OK || !statement)
        return NULL;
    map_put(&view->statements, sql, statement);
    return statement;
}

static void view_open(struct model_view *view)
{
    FH_ASSERT(sqlite3_open_v2(":memory:", &view->sql,
                              SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY,
                              NULL) == SQLITE_OK);
    model_functions(view);
}

static struct model_view *view_new(struct model_database *database)
{
    struct model_view *view = calloc(1, sizeof *view);
    FH_ASSERT(view != NULL);
    view->database = database;
    map_init(&view->statements);
    view_open(view);
    view->next = database->views;
    database->views = view;
    return view;
}

static void copy_tables(struct model_view *view)
{
    struct model_view *newest = view->database->newest;
    sqlite3_int64 size;
    statements_release(view);
    /* Anew: SQLite 3.40 keeps pointers of json_each's into the schema that it replaces. */
    sqlite3_close(view->sql);
    view_open(view);
    unsigned char *image = sqlite3_serialize(newest->sql, "main", &size, 0);
    FH_ASSERT(image != NULL);
    FH_ASSERT(sqlite3_deserialize(view->sql, "main", image, size, size,
                                  SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE) ==
              SQLITE_OK);
    view->schema = newest->schema;
    view->version = newest->version;
}

static void catch_up(struct model_view *view)
{
    struct model_database *database = view->database;
    bool far = database->version - view->version > FAR;
    if ((far || view->schema != database->schema) && view != database->newest)
        copy_tables(view);
    for (; view->version < database->version; view->version++) {
        model_view_apply(view, &database->changes[view->version - database->first_version]);
    }
}

struct model_view *model_view_take(struct model_database *database, struct model_session *session)
{
    struct model_view *view = NULL;
    for (struct model_view *other = database->views; other; other = other->next) {
        if (!other->busy && other != database->newest && (!view || other->version > view->version))
            view = other; /* the one that has the least to catch up with */
    }
    if (!view)
        view = view_new(database);
    catch_up(view);
    view->busy = true;
    view->replays = false;
    view->session = session;
    model_view_runs(view, "BEGIN");
    return view;
}

static void end(struct model_view *view, const char *how)
{
    struct map_entry *entry = NULL;
    const char *text;
    void *statement;
    while (map_next(&view->statements, &entry, &text, &statement))
        sqlite3_reset(statement);
    if (view->changes)
        sqlite3session_delete(view->changes);
    view->changes = NULL;
    model_view_runs(view, how);
}

void model_view_give_back(struct model_view *view)
{
    end(view, "ROLLBACK");
    view->busy = false;
    view->session = NULL;
}

void model_view_writes(struct model_view *view)
{
    if (view->changes)
        return;
    FH_ASSERT(sqlite3session_create(view->sql, "main", &view->changes) == SQLITE_OK);
    FH_ASSERT(sqlite3session_attach(view->changes, NULL) == SQLITE_OK);
}

struct model_change model_view_changes(struct model_view *view)
{
    struct model_change change = {0};
    if (view->changes)
        FH_ASSERT(sqlite3session_changeset(view->changes, &change.size, &change.data) == SQLITE_OK);
    return change;
}

void model_view_refresh(struct model_view *view)
{
    if (view->version == view->database->version && view->schema == view->database->schema)
        return;
    struct model_change own = model_view_changes(view);
    end(view, "ROLLBACK");
    catch_up(view);
    model_view_runs(view, "BEGIN");
    if (own.size) {
        model_view_writes(view);
        model_view_apply(view, &own);
    }
    sqlite3_free(own.data);
}

/* ---- rows ---- */

static void row_name(sqlite3_changeset_iter *at, char *row, size_t size)
{
    const char *table;
    unsigned char *key;
    int columns, operation, indirect;
    sqlite3changeset_op(at, &table, &columns, &operation, &indirect);
    sqlite3changeset_pk(at, &key, NULL);
    size_t used = (size_t)snprintf(row, size, "%s", table);
    for (int i = 0; i < columns && used < size; i++) {
        sqlite3_value *value = NULL;
        if (!key[i])
            continue;
        if (operation == SQLITE_INSERT)
            sqlite3changeset_new(at, i, &value);
        else
            sqlite3changeset_old(at, i, &value);
        const unsigned char *text = value ? sqlite3_value_text(value) : NULL;
        used += (size_t)snprintf(row + used, size - used, "|%s", text ? (const char *)text : "");
    }
}

bool model_change_rows(const struct model_change *change,
                       bool (*visit)(void *context, const char *row), void *context)
{
    sqlite3_changeset_iter *at;
    char row[ROW_SIZE];
    bool more = true;
    if (!change->size || sqlite3changeset_start(&at, change->size, change->data) != SQLITE_OK)
        return true;
    while (more && sqlite3changeset_next(at) == SQLITE_ROW) {
        row_name(at, row, sizeof row);
        more = visit(context, row);
    }
    sqlite3changeset_finalize(at);
    return more;
}

int64_t model_changed_at(const struct map *map, const char *name)
{
    return (int64_t)(intptr_t)map_get(map, name);
}

/* ---- versions ---- */

static bool note_row(void *context, const char *row)
{
    struct model_database *database = context;
    char table[ROW_SIZE];
    void *version = (void *)(intptr_t)database->version; // NOLINT: a number in a map
    snprintf(table, sizeof table, "%.*s", (int)strcspn(row, "|"), row);
    if (strncmp(row, "fh_outbox|", 10) == 0 && !map_get(&database->rows, row))
        map_put(&database->born, row, version);
    map_put(&database->rows, row, version);
    map_put(&database->tables, table, version);
    return true;
}

void model_database_change(struct model_database *database, struct model_change change)
{
    if (database->change_count == database->change_capacity) {
        database->change_capacity = database->change_capacity ? database->change_capacity * 2 : 256;
        database->changes =
            realloc(database->changes, database->change_capacity * sizeof *database->changes);
        FH_ASSERT(database->changes != NULL);
    }
    database->changes[database->change_count++] = change;
    database->version++;
    model_change_rows(&change, note_row, database);
    catch_up(database->newest);
}

void model_database_commit(struct model_view *view, bool schema)
{
    struct model_database *database = view->database;
    struct model_change change = model_view_changes(view);
    if (!schema) {
        if (change.size) {
            model_database_change(database, change);
            model_committed(database);
        }
        model_view_give_back(view);
        return;
    }
    database->version++;
    model_change_rows(&change, note_row, database);
    end(view, "COMMIT");
    view->busy = false;
    /* Nobody goes back to before: the list begins anew. */
    database->schema++;
    database->change_count = 0;
    database->first_version = database->version;
    view->schema = database->schema;
    view->version = database->version;
    struct model_view *newest = database->newest;
    database->newest = view;
    copy_tables(newest);
    database->newest = newest;
}

struct model_database *model_database(struct model_server *server, const char *name)
{
    struct model_database *database = server->databases;
    while (database && strcmp(database->name, name) != 0)
        database = database->next;
    if (database)
        return database;
    database = calloc(1, sizeof *database);
    FH_ASSERT(database != NULL);
    database->server = server;
    snprintf(database->name, sizeof database->name, "%s", name);
    map_init(&database->rows);
    map_init(&database->tables);
    map_init(&database->born);
    database->version = database->first_version = database->schema = 1;
    database->newest = view_new(database);
    database->newest->version = database->newest->schema = 1;
    model_view_runs(database->newest, "PRAGMA page_size = 1024; PRAGMA user_version = 1");
    database->next = server->databases;
    server->databases = database;
    return database;
}
