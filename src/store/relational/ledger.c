/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger on relational engines: meta, outbox and cursors. See docs of the tables in
 * docs/store.md. Positions are dense and come from the one row of fh_counter, never from rowids: a
 * trimmed table would give those out again. With one writer the work itself is the sequencer, so
 * an event's position is final once its work is committed.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mutation.h"
#include "store/relational/ledger.h"

#define FORMAT "1"

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS fh_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fh_counter (one INTEGER PRIMARY KEY CHECK (one = 1),"
    "  position INTEGER NOT NULL, epoch INTEGER NOT NULL);"
    "INSERT INTO fh_counter VALUES (1, 0, 0) ON CONFLICT DO NOTHING;"
    "CREATE TABLE IF NOT EXISTS fh_outbox (position INTEGER PRIMARY KEY, event_id TEXT NOT NULL,"
    "  type TEXT NOT NULL, version INTEGER NOT NULL, key TEXT NOT NULL, prev INTEGER NOT NULL,"
    "  time_ms INTEGER NOT NULL, data TEXT NOT NULL, trace TEXT);"
    "CREATE TABLE IF NOT EXISTS fh_last_of_key (key TEXT PRIMARY KEY, position INTEGER NOT NULL)"
    "  WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fh_subscriber (name TEXT NOT NULL, share TEXT NOT NULL,"
    "  incarnation TEXT NOT NULL, done INTEGER NOT NULL, seen INTEGER NOT NULL,"
    "  updated_ms INTEGER NOT NULL, PRIMARY KEY (name, share)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fh_cursor (source TEXT NOT NULL, share TEXT NOT NULL,"
    "  incarnation TEXT NOT NULL, position INTEGER NOT NULL, event_id TEXT NOT NULL,"
    "  epoch INTEGER NOT NULL, PRIMARY KEY (source, share)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fh_parked_key (source TEXT NOT NULL, share TEXT NOT NULL,"
    "  key TEXT NOT NULL, events INTEGER NOT NULL, oldest_ms INTEGER NOT NULL,"
    "  PRIMARY KEY (source, share, key))"
    "  WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fh_parked (source TEXT NOT NULL, share TEXT NOT NULL,"
    "  key TEXT NOT NULL, position INTEGER NOT NULL, event_id TEXT NOT NULL, type TEXT NOT NULL,"
    "  time_ms INTEGER NOT NULL, attempts INTEGER NOT NULL, error TEXT NOT NULL,"
    "  parked_ms INTEGER NOT NULL, event TEXT NOT NULL,"
    "  PRIMARY KEY (source, share, key, position));"
    "CREATE TABLE IF NOT EXISTS fh_command (caller TEXT NOT NULL, key TEXT NOT NULL,"
    "  birth TEXT NOT NULL, number INTEGER NOT NULL, attempt INTEGER NOT NULL,"
    "  created_ms INTEGER NOT NULL, outcome TEXT NOT NULL, digest TEXT NOT NULL, request TEXT,"
    "  answer TEXT, undo_answer TEXT, PRIMARY KEY (caller, key)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS fh_command_number ON fh_command (caller, birth, number)"
    "  WHERE birth <> '';"
    "CREATE INDEX IF NOT EXISTS fh_command_created ON fh_command (created_ms) WHERE birth = '';"
    "CREATE TABLE IF NOT EXISTS fh_caller (caller TEXT NOT NULL, birth TEXT NOT NULL,"
    "  closed_through INTEGER NOT NULL, still_open TEXT NOT NULL, PRIMARY KEY (caller, birth))"
    "  WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fh_caller_newest (caller TEXT PRIMARY KEY,"
    "  incarnation TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fh_saga (birth TEXT NOT NULL, number INTEGER NOT NULL,"
    "  name TEXT NOT NULL, input TEXT NOT NULL, state TEXT NOT NULL, status TEXT NOT NULL,"
    "  epoch INTEGER NOT NULL, deadline_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,"
    "  closed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (birth, number)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS fh_saga_status ON fh_saga (status);"
    "CREATE INDEX IF NOT EXISTS fh_saga_unclosed ON fh_saga (birth, number) WHERE closed = 0;"
    "CREATE TABLE IF NOT EXISTS fh_saga_step (birth TEXT NOT NULL, number INTEGER NOT NULL,"
    "  step INTEGER NOT NULL, element INTEGER NOT NULL, attempt INTEGER NOT NULL,"
    "  target TEXT NOT NULL, request TEXT NOT NULL, state TEXT NOT NULL, answer TEXT,"
    "  receiver TEXT, receiver_position INTEGER NOT NULL,"
    "  PRIMARY KEY (birth, number, step, element)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fh_migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL,"
    "  checksum TEXT NOT NULL, applied_ms INTEGER NOT NULL);";

/* ---- small readers ---- */

struct integer_found {
    int64_t value;
    bool found;
};

static bool take_integer(void *context, const struct sql_row *row)
{
    struct integer_found *found = context;
    found->value = row->values[0].integer;
    found->found = true;
    return true;
}

enum fh_code ledger_integer(struct store_work *work, const char *sql,
                            const struct sql_value *values, int count, int64_t *ret,
                            struct fh_error *error)
{
    struct integer_found found = {0};
    enum fh_code code = sql_run(work, sql, values, count, take_integer, &found, NULL, error);
    if (code == FH_OK && !found.found)
        return error_set(error, FH_NOT_FOUND, "There is no such row in the ledger.");
    *ret = found.value;
    return code;
}

struct text_found {
    char *text;
    size_t size;
    bool found;
};

static bool take_text(void *context, const struct sql_row *row)
{
    struct text_found *found = context;
    const char *text = row->values[0].kind == SQL_TEXT ? row->values[0].text : "";
    snprintf(found->text, found->size, "%s", text);
    found->found = true;
    return true;
}

enum fh_code ledger_text(struct store_work *work, const char *sql, const struct sql_value *values,
                         int count, char *ret, size_t size, struct fh_error *error)
{
    struct text_found found = {.text = ret, .size = size};
    ret[0] = '\0';
    enum fh_code code = sql_run(work, sql, values, count, take_text, &found, NULL, error);
    if (code == FH_OK && !found.found)
        return error_set(error, FH_NOT_FOUND, "There is no such row in the ledger.");
    return code;
}

const char *ledger_copy(struct arena *arena, const struct sql_value *value)
{
    return value->kind == SQL_TEXT ? arena_copy(arena, value->text, value->length) : NULL;
}

/* ---- meta ---- */

static enum fh_code meta_get(struct store_work *work, const char *name, char *ret, size_t size,
                             struct fh_error *error)
{
    struct sql_value values[] = {sql_text(name)};
    enum fh_code code =
        ledger_text(work, "SELECT value FROM fh_meta WHERE name = ?1", values, 1, ret, size, error);
    return code == FH_NOT_FOUND ? FH_OK : code;
}

static enum fh_code meta_put(struct store_work *work, const char *name, const char *value,
                             struct fh_error *error)
{
    struct sql_value values[] = {sql_text(name), sql_text(value)};
    return ledger_do(work,
                     "INSERT INTO fh_meta (name, value) VALUES (?1, ?2)"
                     " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                     values, 2, NULL, error);
}

enum fh_code ledger_prepare(struct store_work *work, char ret_incarnation[ID_SIZE],
                            struct fh_error *error)
{
    enum fh_code code = work->store->ops->sql->script(work, schema, error);
    char format[8];
    if (code == FH_OK)
        code = meta_get(work, "format", format, sizeof format, error);
    if (code == FH_OK && format[0] && strcmp(format, FORMAT) != 0)
        return error_set(error, FH_UNSUPPORTED,
                         "The store's ledger has format %s; this program knows format " FORMAT ".",
                         format);
    if (code == FH_OK)
        code = meta_get(work, "incarnation", ret_incarnation, ID_SIZE, error);
    if (code != FH_OK || ret_incarnation[0])
        return code;
    unsigned char random[10];
    world_random(work->store->world, random, sizeof random);
    id_format(ret_incarnation, world_wall_ms(work->store->world), random);
    if (!MUTATION(incarnation_forgotten))
        code = meta_put(work, "incarnation", ret_incarnation, error);
    return code == FH_OK ? meta_put(work, "format", FORMAT, error) : code;
}

enum fh_code ledger_position(struct store_work *work, int64_t *ret, struct fh_error *error)
{
    return ledger_integer(work, "SELECT position FROM fh_counter WHERE one = 1", NULL, 0, ret,
                          error);
}

/* ---- outbox ---- */

enum fh_code ledger_outbox_append(struct store_work *work, struct ledger_event *event,
                                  struct fh_error *error)
{
    struct sql_value key[] = {sql_text(event->key), sql_integer(0)};
    event->previous = 0;
    enum fh_code code = ledger_integer(work, "SELECT position FROM fh_last_of_key WHERE key = ?1",
                                       key, 1, &event->previous, error);
    if (code == FH_NOT_FOUND)
        code = FH_OK;
    if (code == FH_OK)
        code = ledger_integer(work,
                              MUTATION(positions_skip)
                                  ? "UPDATE fh_counter SET position = position + 1 + (random() & 1)"
                                    " WHERE one = 1 RETURNING position"
                                  : "UPDATE fh_counter SET position = position + 1 WHERE one = 1"
                                    " RETURNING position",
                              NULL, 0, &event->position, error);
    key[1] = sql_integer(event->position);
    if (code == FH_OK && !MUTATION(last_of_key_forgotten))
        code = ledger_do(work,
                         "INSERT INTO fh_last_of_key (key, position) VALUES (?1, ?2)"
                         " ON CONFLICT (key) DO UPDATE SET position = excluded.position",
                         key, 2, NULL, error);
    if (code != FH_OK)
        return code;
    struct sql_value values[] = {
        sql_integer(event->position), sql_text(event->id),   sql_text(event->type),
        sql_integer(event->version),  sql_text(event->key),  sql_integer(event->previous),
        sql_integer(event->time_ms),  sql_text(event->data), sql_text(event->trace)};
    return ledger_do(work,
                     "INSERT INTO fh_outbox (position, event_id, type, version, key, prev, time_ms,"
                     " data, trace) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                     values, LEDGER_COUNT(values), NULL, error);
}

struct event_visit {
    bool (*visit)(void *context, const struct ledger_event *event);
    void *context;
};

static bool visit_event(void *context, const struct sql_row *row)
{
    const struct event_visit *to = context;
    const struct sql_value *v = row->values;
    struct ledger_event event = {.position = v[0].integer,
                                 .id = v[1].text,
                                 .type = v[2].text,
                                 .version = (int)v[3].integer,
                                 .key = v[4].text,
                                 .previous = v[5].integer,
                                 .time_ms = v[6].integer,
                                 .data = v[7].text,
                                 .trace = v[8].text};
    return to->visit(to->context, &event);
}

enum fh_code ledger_outbox_read(struct store_work *work, int64_t after, int limit,
                                bool (*visit)(void *context, const struct ledger_event *event),
                                void *context, struct fh_error *error)
{
    struct sql_value values[] = {sql_integer(after), sql_integer(limit)};
    struct event_visit to = {visit, context};
    return sql_run(work,
                   "SELECT position, event_id, type, version, key, prev, time_ms, data, trace"
                   " FROM fh_outbox WHERE position > ?1 ORDER BY position LIMIT ?2",
                   values, 2, visit_event, &to, NULL, error);
}

enum fh_code ledger_outbox_trimmed(struct store_work *work, int64_t *ret_position,
                                   char ret_id[ID_SIZE], struct fh_error *error)
{
    char position[24];
    enum fh_code code = meta_get(work, "trimmed_position", position, sizeof position, error);
    *ret_position = 0;
    if (code == FH_OK && position[0])
        sscanf(position, "%" SCNd64, ret_position);
    return code == FH_OK ? meta_get(work, "trimmed_id", ret_id, ID_SIZE, error) : code;
}

enum fh_code ledger_outbox_id_at(struct store_work *work, int64_t position, char ret_id[ID_SIZE],
                                 struct fh_error *error)
{
    struct sql_value values[] = {sql_integer(position)};
    enum fh_code code = ledger_text(work, "SELECT event_id FROM fh_outbox WHERE position = ?1",
                                    values, 1, ret_id, ID_SIZE, error);
    return code == FH_NOT_FOUND ? FH_OK : code;
}

enum fh_code ledger_outbox_trim(struct store_work *work, int64_t position, int limit,
                                int64_t *ret_removed, struct fh_error *error)
{
    int64_t trimmed = 0, last = 0;
    char id[ID_SIZE], number[24];
    *ret_removed = 0;
    enum fh_code code = ledger_outbox_trimmed(work, &trimmed, id, error);
    if (code == FH_OK)
        code = ledger_position(work, &last, error);
    if (code != FH_OK)
        return code;
    if (position > last)
        position = last;
    int64_t through = position - trimmed > limit ? trimmed + limit : position;
    if (through <= trimmed)
        return FH_OK;
    code = ledger_outbox_id_at(work, through, id, error);
    snprintf(number, sizeof number, "%" PRId64, through);
    if (code == FH_OK)
        code = meta_put(work, "trimmed_position", number, error);
    if (code == FH_OK)
        code = meta_put(work, "trimmed_id", id, error);
    struct sql_value values[] = {sql_integer(through)};
    if (code == FH_OK)
        code = ledger_do(work, "DELETE FROM fh_outbox WHERE position <= ?1", values, 1, ret_removed,
                         error);
    return code;
}

enum fh_code ledger_subscriber_put(struct store_work *work, const char *name, const char *share,
                                   const char *incarnation, int64_t done, int64_t seen,
                                   int64_t now_ms, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(name),    sql_text(share),   sql_text(incarnation),
                                 sql_integer(done), sql_integer(seen), sql_integer(now_ms)};
    return ledger_do(work,
                     "INSERT INTO fh_subscriber (name, share, incarnation, done, seen, updated_ms)"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (name, share) DO UPDATE SET"
                     " incarnation = excluded.incarnation, done = excluded.done,"
                     " seen = excluded.seen, updated_ms = excluded.updated_ms",
                     values, LEDGER_COUNT(values), NULL, error);
}

/* ---- cursors ---- */

static bool take_cursor(void *context, const struct sql_row *row)
{
    struct ledger_cursor *cursor = context;
    snprintf(cursor->incarnation, sizeof cursor->incarnation, "%s", row->values[0].text);
    cursor->position = row->values[1].integer;
    snprintf(cursor->event_id, sizeof cursor->event_id, "%s", row->values[2].text);
    cursor->epoch = row->values[3].integer;
    return true;
}

enum fh_code ledger_cursor_get(struct store_work *work, const char *source, const char *share,
                               struct ledger_cursor *ret, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(source), sql_text(share)};
    *ret = (struct ledger_cursor){0};
    return sql_run(work,
                   "SELECT incarnation, position, event_id, epoch FROM fh_cursor"
                   " WHERE source = ?1 AND share = ?2",
                   values, 2, take_cursor, ret, NULL, error);
}

enum fh_code ledger_cursor_move(struct store_work *work, const char *source, const char *share,
                                const struct ledger_cursor *old, const struct ledger_cursor *next,
                                struct fh_error *error)
{
    struct sql_value values[] = {sql_text(source),
                                 sql_text(share),
                                 sql_text(next->incarnation),
                                 sql_integer(next->position),
                                 sql_text(next->event_id),
                                 sql_integer(next->epoch),
                                 sql_text(old->incarnation),
                                 sql_integer(old->position),
                                 sql_integer(old->epoch)};
    int64_t moved = 0;
    enum fh_code code;
    if (!old->incarnation[0]) {
        code = ledger_do(work,
                         "INSERT INTO fh_cursor (source, share, incarnation, position, event_id,"
                         " epoch) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
                         values, 6, &moved, error);
    } else {
        code = ledger_do(work,
                         "UPDATE fh_cursor SET incarnation = ?3, position = ?4, event_id = ?5,"
                         " epoch = ?6 WHERE source = ?1 AND share = ?2 AND incarnation = ?7"
                         " AND position = ?8 AND epoch = ?9",
                         values, LEDGER_COUNT(values), &moved, error);
    }
    if (code == FH_OK && moved == 0)
        return error_set(error, FH_CONFLICT,
                         "The cursor of %s is not at %" PRId64 " any more: these were applied.",
                         source, old->position);
    return code;
}

/* ---- migrations ---- */

struct migration_visit {
    bool (*visit)(void *context, int64_t version, const char *name, const char *checksum);
    void *context;
};

static bool visit_migration(void *context, const struct sql_row *row)
{
    const struct migration_visit *to = context;
    return to->visit(to->context, row->values[0].integer, row->values[1].text, row->values[2].text);
}

enum fh_code ledger_migrations_get(struct store_work *work,
                                   bool (*visit)(void *context, int64_t version, const char *name,
                                                 const char *checksum),
                                   void *context, struct fh_error *error)
{
    struct migration_visit to = {visit, context};
    return sql_run(work, "SELECT version, name, checksum FROM fh_migration ORDER BY version", NULL,
                   0, visit_migration, &to, NULL, error);
}

enum fh_code ledger_migration_put(struct store_work *work, int64_t version, const char *name,
                                  const char *checksum, int64_t now_ms, struct fh_error *error)
{
    struct sql_value values[] = {sql_integer(version), sql_text(name), sql_text(checksum),
                                 sql_integer(now_ms)};
    return ledger_do(work,
                     "INSERT INTO fh_migration (version, name, checksum, applied_ms)"
                     " VALUES (?1, ?2, ?3, ?4)",
                     values, LEDGER_COUNT(values), NULL, error);
}
