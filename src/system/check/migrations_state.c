/* SPDX-License-Identifier: Apache-2.0 */
/* Compares the store's migrations with the files, as the next start will (service/migrate.c), but
 * all at once and without stopping at the first fault. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/engines.h"
#include "service/migration.h"
#include "store/store.h"
#include "system/check/migrations.h"

struct laying {
    struct migrations all;
    const struct sql_dialect *dialect;
    bool many; /* it may have several processes, so a newer version may have been here */
    bool sql;
    json_int_t newest_applied;
    json_t *list;
};

bool migrations_applies(const json_t *migration)
{
    const char *state = json_string_at(migration, "state");
    return strcmp(state, "pending") == 0 || strcmp(state, "stopped") == 0;
}

bool migrations_hinders(const json_t *migration)
{
    static const char *const states[] = {"unknown", "changed", "gone", "late"};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (strcmp(json_string_at(migration, "state"), states[i]) == 0)
            return true;
    }
    return false;
}

static json_t *row_of_version(const json_t *rows, int64_t version)
{
    size_t i;
    json_t *row;
    json_int_t found;
    json_array_foreach (rows, i, row) {
        if (json_integer_at(row, "version", &found) && found == version)
            return row;
    }
    return NULL;
}

static json_t *put_migration(struct laying *laying, json_int_t version, const char *name,
                             const char *state)
{
    json_t *item = json_pack("{s:I, s:s, s:s}", "version", version, "name", name, "state", state);
    FH_ASSERT(item != NULL);
    json_array_append_new(laying->list, item);
    return item;
}

static void say_todo(json_t *item, const char *todo)
{
    json_object_set_new(item, "todo", json_string(todo));
}

/* ---- Migrations with a file ---- */

/* How many statements it has, and the line of the one after the first `done`; 0: there is none. */
static int count_statements(const struct laying *laying, const struct migration *migration,
                            json_int_t done, int *ret_line)
{
    struct script script = script_begin(migration->sql, laying->dialect);
    struct script_statement statement;
    int count = 0;
    *ret_line = 0;
    while (script_next(&script, &statement)) {
        if (count++ == done)
            *ret_line = statement.line;
    }
    return count;
}

static void lay_begun(const struct laying *laying, json_t *item, const struct migration *migration,
                      const json_t *open)
{
    char todo[320];
    json_int_t done = 0, running = 0;
    int line;
    json_integer_at(open, "done", &done);
    json_integer_at(open, "running", &running);
    int count = count_statements(laying, migration, done, &line);
    json_object_set_new(item, "statements", json_integer(count));
    json_object_set_new(item, "done", json_integer(done));
    json_object_set_new(item, "line", json_integer(line));
    json_object_set_new(item, "state", json_string(running ? "unknown" : "stopped"));
    if (running)
        snprintf(todo, sizeof todo,
                 "It was cut off in statement %d, line %d, which may have been done or not. Let it "
                 "say IF EXISTS or IF NOT EXISTS; or undo what it did, and UPDATE "
                 "fh_migration_open SET running = 0",
                 (int)running, line);
    else
        snprintf(todo, sizeof todo,
                 "%d of its %d statements stand and may not be changed any more; mend the one at "
                 "line %d, or what comes after it, and start again: it goes on there",
                 (int)done, count, line);
    say_todo(item, todo);
}

static void lay_file(struct laying *laying, const struct migration *migration, const json_t *has)
{
    const json_t *applied = row_of_version(json_object_get(has, "applied"), migration->version);
    const json_t *open = row_of_version(json_object_get(has, "open"), migration->version);
    int line;
    json_t *item = put_migration(laying, migration->version, migration->name, "pending");
    json_object_set_new(item, "checksum", json_string(migration->checksum));
    if (applied) {
        bool same = strcmp(json_string_at(applied, "checksum"), migration->checksum) == 0;
        json_object_set_new(item, "state", json_string(same ? "applied" : "changed"));
        json_object_set(item, "applied_ms", json_object_get(applied, "applied_ms"));
        if (!same)
            say_todo(item,
                     "Its file has changed since it was applied: put it back as it was, and write "
                     "a new migration instead");
        return;
    }
    json_object_set_new(item, "statements",
                        json_integer(count_statements(laying, migration, 0, &line)));
    if (open) {
        lay_begun(laying, item, migration, open);
    } else if (migration->version < laying->newest_applied) {
        json_object_set_new(item, "state", json_string("late"));
        say_todo(item, "A newer one was applied already: give it a higher number");
    }
    if (laying->sql)
        json_object_set_new(item, "sql", json_string(migration->sql));
}

/* ---- Migrations without one ---- */

static void lay_fileless(struct laying *laying, const json_t *row, bool applied)
{
    json_int_t version = 0;
    int64_t newest_file = laying->all.count ? laying->all.rows[laying->all.count - 1].version : 0;
    json_integer_at(row, "version", &version);
    if (migrations_find(&laying->all, version))
        return;
    bool newer = applied && laying->many && version > newest_file;
    json_t *item =
        put_migration(laying, version, json_string_at(row, "name"), newer ? "newer" : "gone");
    if (applied) {
        json_object_set(item, "checksum", json_object_get(row, "checksum"));
        json_object_set(item, "applied_ms", json_object_get(row, "applied_ms"));
    }
    if (!newer)
        say_todo(item,
                 applied ? "It was applied, and its file is gone: put it back, for the store could "
                           "not be made again without it"
                         : "It was begun, and its file is gone: put it back");
}

static int compare_known_versions(const void *one, const void *other)
{
    json_int_t a = 0, b = 0;
    json_integer_at(*(json_t *const *)one, "version", &a);
    json_integer_at(*(json_t *const *)other, "version", &b);
    return (a > b) - (a < b);
}

static json_t *sorted_by_version(json_t *list)
{
    size_t count = json_array_size(list), i;
    json_t **items = calloc(count + 1, sizeof *items), *item, *ret = json_array();
    FH_ASSERT(items != NULL);
    json_array_foreach (list, i, item)
        items[i] = item;
    qsort(items, count, sizeof *items, compare_known_versions);
    for (i = 0; i < count; i++)
        json_array_append(ret, items[i]);
    free(items);
    json_decref(list);
    return ret;
}

enum fh_code migrations_state(const struct system_service *service, const json_t *has, bool sql,
                              json_t **ret, struct fh_error *error)
{
    const struct engine *engine = engine_named(service->engine);
    struct laying laying = {.dialect = migrations_dialect(service->engine),
                            .many = engine && engine_can(engine, ENGINE_MANY_INSTANCES),
                            .sql = sql};
    size_t i;
    json_t *row;
    json_int_t version;
    enum fh_code code =
        migrations_read(service->migrations, service->engine, laying.dialect, &laying.all, error);
    if (code != FH_OK)
        return code;
    laying.list = json_array();
    json_array_foreach (json_object_get(has, "applied"), i, row) {
        if (json_integer_at(row, "version", &version) && version > laying.newest_applied)
            laying.newest_applied = version;
    }
    for (int n = 0; n < laying.all.count; n++)
        lay_file(&laying, &laying.all.rows[n], has);
    json_array_foreach (json_object_get(has, "applied"), i, row)
        lay_fileless(&laying, row, true);
    json_array_foreach (json_object_get(has, "open"), i, row)
        lay_fileless(&laying, row, false);
    migrations_release(&laying.all);
    *ret = sorted_by_version(laying.list);
    return FH_OK;
}
