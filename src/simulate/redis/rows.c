/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service's store as tables in SQLite: the ledger's as they are on the other engines, as far as
 * what must hold of any system asks for them; and `kv`, with a row for each value, field and
 * member. By this file's own reading of the records, not by the engine's.
 */

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "simulate/redis/model.h"

#define SEPARATOR '\x1f'
#define COLUMNS_MAX 8

static const char schema[] =
    "CREATE TABLE fh_meta (name, value);"
    "CREATE TABLE fh_counter (position);"
    "CREATE TABLE fh_outbox (position INTEGER, event_id, type, key, data, prev INTEGER);"
    "CREATE TABLE fh_cursor (source, share, incarnation, position);"
    "CREATE TABLE fh_command (birth, caller, outcome);"
    "CREATE TABLE fh_saga (birth, number INTEGER, status);"
    "CREATE TABLE fh_saga_step (birth, number INTEGER);"
    "CREATE TABLE fh_parked (source, share, key, position);"
    "CREATE TABLE fh_parked_key (source, share, key, events);"
    "CREATE TABLE fh_keys (name, score REAL);"
    "CREATE TABLE kv (key, part, value, score INTEGER, ends_ms INTEGER)";

/* Hashes of records; '#': the number in the id, at that place. */
static const struct {
    const char *hash, *insert, *columns[COLUMNS_MAX];
} tables[] = {
    {"meta", "INSERT INTO fh_meta VALUES (?1, ?2)", {"#0", "value"}},
    {"cursor",
     "INSERT INTO fh_cursor VALUES (?1, ?2, ?3, ?4)",
     {"source", "share", "incarnation", "position"}},
    {"command", "INSERT INTO fh_command VALUES (?1, ?2, ?3)", {"birth", "caller", "outcome"}},
    {"saga", "INSERT INTO fh_saga VALUES (?1, ?2, ?3)", {"birth", "#1", "status"}},
    {"saga_step", "INSERT INTO fh_saga_step VALUES (?1, ?2)", {"#0", "#1"}},
    {"parked",
     "INSERT INTO fh_parked VALUES (?1, ?2, ?3, ?4)",
     {"source", "share", "key", "position"}},
    {"parked_key",
     "INSERT INTO fh_parked_key VALUES (?1, ?2, ?3, ?4)",
     {"source", "share", "key", "events"}},
};

static void bind_part(sqlite3_stmt *insert, int column, const char *id, int part)
{
    for (; id && part > 0; part--) {
        id = strchr(id, SEPARATOR);
        id = id ? id + 1 : NULL;
    }
    size_t length = id ? strcspn(id, "\x1f") : 0;
    if (length == 19 && strspn(id, "0123456789") == 19)
        sqlite3_bind_int64(insert, column, strtoll(id, NULL, 10));
    else
        sqlite3_bind_text(insert, column, id ? id : "", (int)length, SQLITE_TRANSIENT);
}

static void bind_json(sqlite3_stmt *insert, int column, const json_t *value)
{
    if (json_is_integer(value))
        sqlite3_bind_int64(insert, column, json_integer_value(value));
    else if (json_is_string(value))
        sqlite3_bind_text(insert, column, json_string_value(value), -1, SQLITE_TRANSIENT);
    else
        sqlite3_bind_null(insert, column);
}

static sqlite3_stmt *prepare_insert(sqlite3 *sql, const char *text)
{
    sqlite3_stmt *statement = NULL;
    FH_ASSERT(sqlite3_prepare_v2(sql, text, -1, &statement, NULL) == SQLITE_OK);
    return statement;
}

static void insert_done(sqlite3_stmt *insert)
{
    FH_ASSERT(sqlite3_step(insert) == SQLITE_DONE);
    sqlite3_reset(insert);
    sqlite3_clear_bindings(insert);
}

static struct served_value *model_value(struct served *served, const char *prefix, const char *name)
{
    char key[300];
    snprintf(key, sizeof key, "%.100s:fh:%.100s", prefix, name);
    return map_get(&served->data, key);
}

static void fill_records(struct served *served, const char *prefix, sqlite3 *sql, size_t table)
{
    const struct served_value *hash = model_value(served, prefix, tables[table].hash);
    struct map_entry *entry = NULL;
    const char *id;
    void *text;
    sqlite3_stmt *insert = prepare_insert(sql, tables[table].insert);
    while (hash && map_next(&hash->fields, &entry, &id, &text)) {
        json_t *record = NULL;
        json_parse(text, strlen(text), &record, ERROR_UNHEEDED);
        for (int i = 0; i < COLUMNS_MAX && tables[table].columns[i]; i++) {
            const char *column = tables[table].columns[i];
            if (*column == '#')
                bind_part(insert, i + 1, id, column[1] - '0');
            else
                bind_json(insert, i + 1, json_object_get(record, column));
        }
        insert_done(insert);
        json_decref(record);
    }
    sqlite3_finalize(insert);
}

static void fill_trimmed(struct served *served, const char *prefix, sqlite3 *sql)
{
    const struct served_value *meta = model_value(served, prefix, "meta");
    const char *text = meta ? map_get(&meta->fields, "trimmed") : NULL;
    json_t *record = NULL;
    if (!text || json_parse(text, strlen(text), &record, ERROR_UNHEEDED) != FH_OK)
        return;
    sqlite3_stmt *insert =
        prepare_insert(sql, "INSERT INTO fh_meta VALUES ('trimmed_position', ?1)");
    bind_json(insert, 1, json_object_get(record, "position"));
    insert_done(insert);
    sqlite3_finalize(insert);
    json_decref(record);
}

static void fill_events(struct served *served, const char *prefix, sqlite3 *sql)
{
    static const char *const columns[] = {"id", "type", "key", "data", "prev"};
    const struct served_value *counter = model_value(served, prefix, "counter"),
                              *outbox = model_value(served, prefix, "outbox");
    sqlite3_stmt *insert =
        prepare_insert(sql, "INSERT INTO fh_counter VALUES (CAST(?1 AS INTEGER))");
    sqlite3_bind_text(insert, 1, counter ? counter->text : "0", -1, SQLITE_TRANSIENT);
    insert_done(insert);
    sqlite3_finalize(insert);
    insert = prepare_insert(sql, "INSERT INTO fh_outbox VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
    for (int i = 0; outbox && i < outbox->count; i++) {
        const struct served_entry *entry = &outbox->entries[i];
        sqlite3_bind_int64(insert, 1, entry->id);
        for (int j = 0; j + 1 < entry->count; j += 2) {
            for (int k = 0; k < 5; k++) {
                if (strcmp(columns[k], entry->words[j]) == 0)
                    sqlite3_bind_text(insert, k + 2, entry->words[j + 1], -1, SQLITE_TRANSIENT);
            }
        }
        insert_done(insert);
    }
    sqlite3_finalize(insert);
}

static void fill_key(sqlite3_stmt *insert, const char *name, const struct served_value *value)
{
    struct map_entry *entry = NULL;
    const char *field;
    void *text;
    if (value->kind == SERVED_STRING) {
        sqlite3_bind_text(insert, 1, name, -1, SQLITE_TRANSIENT);
        sqlite3_bind_text(insert, 3, value->text, -1, SQLITE_TRANSIENT);
        sqlite3_bind_int64(insert, 5, value->ends_ms);
        insert_done(insert);
    }
    while (value->kind == SERVED_HASH && map_next(&value->fields, &entry, &field, &text)) {
        sqlite3_bind_text(insert, 1, name, -1, SQLITE_TRANSIENT);
        sqlite3_bind_text(insert, 2, field, -1, SQLITE_TRANSIENT);
        sqlite3_bind_text(insert, 3, text, -1, SQLITE_TRANSIENT);
        sqlite3_bind_int64(insert, 5, value->ends_ms);
        insert_done(insert);
    }
    for (int i = 0; value->kind == SERVED_SORTED && i < value->count; i++) {
        sqlite3_bind_text(insert, 1, name, -1, SQLITE_TRANSIENT);
        sqlite3_bind_text(insert, 2, value->members[i].name, -1, SQLITE_TRANSIENT);
        sqlite3_bind_int64(insert, 4, (int64_t)value->members[i].score);
        sqlite3_bind_int64(insert, 5, value->ends_ms);
        insert_done(insert);
    }
}

static void fill_keys(struct served *served, const char *prefix, sqlite3 *sql)
{
    struct map_entry *entry = NULL;
    const char *key;
    void *value;
    char room[120];
    snprintf(room, sizeof room, "%.100s:kv:", prefix);
    sqlite3_stmt *insert = prepare_insert(sql, "INSERT INTO kv VALUES (?1, ?2, ?3, ?4, ?5)");
    while (map_next(&served->data, &entry, &key, &value)) {
        if (strncmp(key, room, strlen(room)) == 0)
            fill_key(insert, key + strlen(room), value);
    }
    sqlite3_finalize(insert);
}

static void fill_list(struct served *served, const char *prefix, sqlite3 *sql)
{
    const struct served_value *names = model_value(served, prefix, "keys");
    sqlite3_stmt *insert = prepare_insert(sql, "INSERT INTO fh_keys VALUES (?1, ?2)");
    for (int i = 0; names && i < names->count; i++) {
        sqlite3_bind_text(insert, 1, names->members[i].name, -1, SQLITE_TRANSIENT);
        sqlite3_bind_double(insert, 2, names->members[i].score);
        insert_done(insert);
    }
    sqlite3_finalize(insert);
}

static json_t *table_row(sqlite3_stmt *statement)
{
    json_t *row = json_object();
    for (int i = 0; i < sqlite3_column_count(statement); i++) {
        int type = sqlite3_column_type(statement, i);
        json_t *value = type == SQLITE_NULL ? json_null()
                        : type == SQLITE_INTEGER
                            ? json_integer(sqlite3_column_int64(statement, i))
                            : json_string((const char *)sqlite3_column_text(statement, i));
        json_object_set_new(row, sqlite3_column_name(statement, i), value);
    }
    return row;
}

/* Of one look at the store many questions are asked, one after the other. */
static sqlite3 *tables_of(struct served *served, const char *prefix)
{
    static sqlite3 *kept;
    static char of[100];
    static size_t at_change;
    static unsigned in_life;
    bool same = kept && strcmp(of, prefix) == 0 && at_change == served->log_count &&
                in_life == served->life;
    if (same)
        return kept;
    sqlite3_close(kept);
    FH_ASSERT(sqlite3_open(":memory:", &kept) == SQLITE_OK);
    FH_ASSERT(sqlite3_exec(kept, schema, NULL, NULL, NULL) == SQLITE_OK);
    FH_ASSERT(sqlite3_exec(kept, "BEGIN", NULL, NULL, NULL) == SQLITE_OK);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        fill_records(served, prefix, kept, i);
    fill_trimmed(served, prefix, kept);
    fill_events(served, prefix, kept);
    fill_keys(served, prefix, kept);
    fill_list(served, prefix, kept);
    FH_ASSERT(sqlite3_exec(kept, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
    snprintf(of, sizeof of, "%s", prefix);
    at_change = served->log_count;
    in_life = served->life;
    return kept;
}

json_t *served_rows(struct simulate_server *base, const char *prefix, const char *sql,
                    const char **ret_why)
{
    sqlite3 *tables_now = tables_of(served_of(base), prefix);
    sqlite3_stmt *statement = NULL;
    *ret_why = NULL;
    if (sqlite3_prepare_v2(tables_now, sql, -1, &statement, NULL) != SQLITE_OK) {
        *ret_why = sqlite3_errmsg(tables_now);
        return NULL;
    }
    json_t *rows = json_array();
    while (sqlite3_step(statement) == SQLITE_ROW)
        json_array_append_new(rows, table_row(statement));
    sqlite3_finalize(statement);
    return rows;
}
