/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adopting what Flyway or Liquibase has done. The schema is not changed: one transaction, under the
 * lock for migrations, reads the other tool's table and the engine's catalog, and writes rows into
 * fh_migration. Killed before its commit it has done nothing; after it, doing it again finds its
 * own rows and writes none.
 *
 * It refuses rather than guesses: every migration up to the version must be in the other tool's
 * table as done; nothing later may be there; and what the migrations make must exist. It compares
 * only names: a column of another type is not noticed.
 */

#include "service/adopt.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "service/runtime.h"
#include "store/ledger.h"
#include "store/relational/catalog.h"

#define HISTORY_MAX 10000 /* rows of the other tool's table */

struct history {
    const char *tool, *table;
    int64_t done[HISTORY_MAX]; /* numbers of migrations, in the order in which they were done */
    int count;
    int64_t baseline; /* Flyway: all up to this one counts as done */
    struct fh_error error;
};

struct adopting {
    struct migrations all;
    struct history history;
    struct arena arena;
    struct catalog catalog;
    int64_t version;
    struct fh_error error;
};

/* ---- the other tool's table ---- */

static void forget_done(struct history *history, int64_t number)
{
    int kept = 0;
    for (int i = 0; i < history->count; i++) {
        if (history->done[i] != number)
            history->done[kept++] = history->done[i];
    }
    history->count = kept;
}

static bool history_has(const struct history *history, int64_t number)
{
    for (int i = 0; i < history->count; i++) {
        if (history->done[i] == number)
            return true;
    }
    return number <= history->baseline;
}

static bool history_full(struct history *history)
{
    if (history->count < HISTORY_MAX)
        return false;
    error_set(&history->error, FH_INVALID, "%s has more than %d rows in its table.", history->tool,
              HISTORY_MAX);
    return true;
}

/* version, type, success. Repeatable migrations have no version, and creating the schema is not a
 * migration. */
static bool see_flyway(void *context, const struct sql_row *row)
{
    struct history *history = context;
    const char *version = row->values[0].text, *type = row->values[1].text;
    char *end;
    if (row->values[0].kind == SQL_NULL || strcmp(type, "SCHEMA") == 0)
        return true;
    int64_t number = strtoll(version, &end, 10);
    if (!isdigit((unsigned char)*version) || *end)
        error_set(&history->error, FH_INVALID,
                  "Flyway has a version %.40s in its table, and migrations here are numbered 1, 2, "
                  "3: its versions have to be whole numbers.",
                  version);
    else if (row->values[2].integer == 0)
        error_set(&history->error, FH_INVALID,
                  "Flyway has the version %.40s in its table as failed: let it mend that first "
                  "(flyway repair), and see what is left of it in the store.",
                  version);
    else if (strncmp(type, "UNDO", 4) == 0 || strcmp(type, "DELETE") == 0)
        forget_done(history, number);
    else if (strstr(type, "BASELINE"))
        history->baseline = number;
    else if (!history_full(history))
        history->done[history->count++] = number;
    return history->error.code == FH_OK;
}

/* id, exectype */
static bool see_liquibase(void *context, const struct sql_row *row)
{
    struct history *history = context;
    const char *id = row->values[0].text, *how = row->values[1].text;
    if (strcmp(how, "FAILED") == 0)
        error_set(&history->error, FH_INVALID,
                  "Liquibase has the changeset %.60s in its table as failed: let it mend that "
                  "first, and see what is left of it in the store.",
                  id);
    else if (strcmp(how, "SKIPPED") == 0)
        error_set(&history->error, FH_INVALID,
                  "Liquibase has the changeset %.60s in its table as skipped: it was not done, and "
                  "can't stand for a migration.",
                  id);
    else if (!history_full(history)) {
        history->count++;
        history->done[history->count - 1] = history->count;
    }
    return history->error.code == FH_OK;
}

/* The table's name as the engine has it: Liquibase's is in capitals where case matters. */
static const struct catalog_table *find_table(const struct catalog *catalog, const char *name)
{
    for (int i = 0; i < catalog->count; i++) {
        if (strcasecmp(catalog->tables[i].name, name) == 0)
            return &catalog->tables[i];
    }
    return NULL;
}

static enum fh_code read_history(struct adopting *adopting, struct store_work *work, bool flyway,
                                 struct fh_error *error)
{
    struct history *history = &adopting->history;
    const struct sql_dialect *dialect = sql_dialect_of(work->store);
    history->tool = flyway ? "Flyway" : "Liquibase";
    history->table = flyway ? "flyway_schema_history" : "databasechangelog";
    const struct catalog_table *table = find_table(&adopting->catalog, history->table);
    if (!table)
        return error_set(error, FH_INVALID,
                         "There is no table %s in this store: %s has not migrated it, or another "
                         "schema of the database.",
                         history->table, history->tool);
    struct text sql;
    text_init(&sql, 1024);
    if (flyway)
        text_add(&sql, "SELECT version, type, CASE WHEN success THEN 1 ELSE 0 END FROM ");
    else
        text_add(&sql, "SELECT id, exectype FROM ");
    catalog_quote(&sql, dialect, table->name);
    text_add(&sql, flyway ? " ORDER BY installed_rank" : " ORDER BY orderexecuted");
    enum fh_code code =
        sql_run(work, sql.data, NULL, 0, flyway ? see_flyway : see_liquibase, history, NULL, error);
    text_release(&sql);
    if (code == FH_OK && history->error.code != FH_OK) {
        *error = history->error;
        code = error->code;
    }
    return code;
}

/* ---- whether both agree ---- */

static enum fh_code compare_history(const struct adopting *adopting, struct fh_error *error)
{
    const struct history *history = &adopting->history;
    int64_t newest = history->baseline;
    for (int i = 0; i < history->count; i++)
        newest = history->done[i] > newest ? history->done[i] : newest;
    if (newest != adopting->version)
        return error_set(error, FH_INVALID,
                         "%s has come to %" PRId64 " in this store, not to %" PRId64
                         ": adopt what is there.",
                         history->tool, newest, adopting->version);
    if (!migrations_find(&adopting->all, adopting->version))
        return error_set(error, FH_INVALID,
                         "There is no migration with the number %" PRId64 " among the files.",
                         adopting->version);
    for (int i = 0; i < adopting->all.count; i++) {
        const struct migration *migration = &adopting->all.rows[i];
        if (migration->version <= adopting->version && !history_has(history, migration->version))
            return error_set(error, FH_INVALID,
                             "The migration %s is not among what %s has done (the table %s): a "
                             "version in between is missing there.",
                             migration->name, history->tool, history->table);
    }
    return FH_OK;
}

static bool has_column(const struct catalog_table *table, const char *column)
{
    for (int i = 0; i < table->column_count; i++) {
        if (strcasecmp(table->columns[i], column) == 0)
            return true;
    }
    return false;
}

static enum fh_code compare_tables(const struct adopting *adopting, json_t *tables,
                                   struct fh_error *error)
{
    const char *name, *column;
    json_t *expected, *file;
    json_object_foreach (tables, name, expected) {
        const struct catalog_table *table = find_table(&adopting->catalog, name);
        if (!table)
            return error_set(error, FH_INVALID,
                             "The migration %s makes the table %.64s, and the store has none.",
                             json_string_at(expected, "file"), name);
        json_object_foreach (json_object_get(expected, "columns"), column, file) {
            if (!has_column(table, column))
                return error_set(error, FH_INVALID,
                                 "The migration %s makes the column %.48s.%.48s, and the store has "
                                 "none.",
                                 json_string_value(file), name, column);
        }
    }
    return FH_OK;
}

static bool see_adopted(void *context, int64_t version, const char *name, const char *checksum)
{
    struct adopting *adopting = context;
    struct migration *migration = migrations_find(&adopting->all, version);
    if (!migration || version > adopting->version || strcmp(migration->checksum, checksum) != 0)
        error_set(&adopting->error, FH_INVALID,
                  "The migration %s is written down in this store as applied here already, and is "
                  "not one of those that would be adopted.",
                  name);
    else
        migration->applied = true;
    return adopting->error.code == FH_OK;
}

static enum fh_code check_adoptable(struct adopting *adopting, struct store_work *work, bool flyway,
                                    struct fh_error *error)
{
    json_t *tables = json_object();
    enum fh_code code = ledger_migrations_get(work, see_adopted, adopting, error);
    if (code == FH_OK && adopting->error.code != FH_OK) {
        *error = adopting->error;
        code = error->code;
    }
    if (code == FH_OK)
        code = catalog_read(work, &adopting->arena, &adopting->catalog, error);
    if (code == FH_OK)
        code = read_history(adopting, work, flyway, error);
    if (code == FH_OK)
        code = compare_history(adopting, error);
    for (int i = 0; i < adopting->all.count && code == FH_OK; i++) {
        if (adopting->all.rows[i].version <= adopting->version)
            adopt_tables_read(tables, &adopting->all.rows[i], sql_dialect_of(work->store));
    }
    if (code == FH_OK)
        code = compare_tables(adopting, tables, error);
    json_decref(tables);
    return code;
}

/* ---- recording them ---- */

/* Ends the unit of work. */
static enum fh_code record_adopted(struct adopting *adopting, struct store_work *work,
                                   int *ret_adopted, struct fh_error *error)
{
    int adopted = 0;
    enum fh_code code = FH_OK;
    for (int i = 0; i < adopting->all.count && code == FH_OK; i++) {
        const struct migration *migration = &adopting->all.rows[i];
        if (migration->version > adopting->version || migration->applied)
            continue;
        code = ledger_migration_put(work, migration->version, migration->name, migration->checksum,
                                    world_wall_ms(work->store->world), error);
        adopted += code == FH_OK;
    }
    if (code != FH_OK) {
        store_rollback(work);
        return code;
    }
    CRASH_POINT("adopt.recorded");
    code = store_commit(work, error);
    CRASH_POINT("adopt.durable");
    if (code == FH_OK) {
        *ret_adopted = adopted;
        log_info("migrations-adopted", "%d migrations adopted from %s", adopted,
                 adopting->history.tool);
    }
    return code;
}

enum fh_code service_adopt(struct store *store, const char *folder, const char *from,
                           int64_t version, int *ret_adopted, struct fh_error *error)
{
    struct store_work *work;
    bool flyway = from && strcmp(from, "flyway") == 0;
    *ret_adopted = 0;
    if (!flyway && (!from || strcmp(from, "liquibase") != 0))
        return error_set(error, FH_INVALID,
                         "Migrations are adopted from flyway or liquibase, not from '%.40s'.",
                         from ? from : "");
    struct adopting *adopting = calloc(1, sizeof *adopting);
    FH_ASSERT(adopting != NULL);
    adopting->version = version;
    arena_init(&adopting->arena, ARENA_SIZE_MAX);
    enum fh_code code =
        migrations_read(folder, store->engine->name, sql_dialect_of(store), &adopting->all, error);
    if (code == FH_OK) {
        code = store_begin(store, STORE_MIGRATE, &work, error);
        if (code == FH_OK) {
            code = check_adoptable(adopting, work, flyway, error);
            if (code == FH_OK)
                code = record_adopted(adopting, work, ret_adopted, error);
            else
                store_rollback(work);
        }
        migrations_release(&adopting->all);
    }
    arena_release(&adopting->arena);
    free(adopting);
    return code;
}
