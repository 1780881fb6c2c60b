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

#define FAR 200 /* versions: then a copy is cheaper */

/* ---- views ---- */

static struct model_view *view_new(struct model_database *database)
{
    struct model_view *view = calloc(1, sizeof *view);
    FH_ASSERT(view != NULL);
    view->database = database;
    map_init(&view->statements);
    model_view_open(view);
    view->next = database->views;
    database->views = view;
    return view;
}

static void copy_tables(struct model_view *view)
{
    struct model_view *newest = view->database->newest;
    sqlite3_int64 size;
    model_view_release(view);
    /* Anew: SQLite 3.40 keeps pointers of json_each's into the schema that it replaces. */
    sqlite3_close(view->sql);
    model_view_open(view);
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

void model_view_give_back(struct model_view *view)
{
    model_view_end(view, "ROLLBACK");
    view->busy = false;
    view->session = NULL;
}

void model_view_refresh(struct model_view *view)
{
    if (view->version == view->database->version && view->schema == view->database->schema)
        return;
    struct model_change own = model_view_changes(view);
    model_view_end(view, "ROLLBACK");
    catch_up(view);
    model_view_runs(view, "BEGIN");
    if (own.size) {
        model_view_writes(view);
        model_view_apply(view, &own);
    }
    sqlite3_free(own.data);
}

int64_t model_changed_at(const struct map *map, const char *name)
{
    return (int64_t)(intptr_t)map_get(map, name);
}

/* ---- versions ---- */

static bool note_row(void *context, const char *row)
{
    struct model_database *database = context;
    char table[MODEL_ROW_SIZE];
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

static void note_commit(struct model_database *database)
{
    struct model_server *server = database->server;
    server->newest[server->commits++ % MODEL_NEWEST] =
        (struct model_commit){database, database->version, database->schema};
}

void model_database_commit(struct model_view *view, bool schema)
{
    struct model_database *database = view->database;
    struct model_change change = model_view_changes(view);
    if (!schema) {
        if (change.size) {
            model_database_change(database, change);
            note_commit(database);
        }
        model_view_give_back(view);
        return;
    }
    database->version++;
    model_change_rows(&change, note_row, database);
    model_view_end(view, "COMMIT");
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
