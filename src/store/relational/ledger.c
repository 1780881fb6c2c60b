/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger on relational engines: meta, outbox and cursors; docs/internals/store.md describes the
 * tables. Positions are dense and come from the one row of fh_counter, never from rowids, which a
 * trimmed table would give out again. With one writer the unit of work itself takes them, so that
 * an event's position is final when its unit of work commits: see engine/sqlite/late.c. Servers
 * have many writers and a sequencer: see engine/postgresql/ledger_schema.c.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/relational/ledger.h"
#include "store/relational/ledger_schema.h"
#include "store/relational/ledger_sql.h"

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

static bool take_text_found(void *context, const struct sql_row *row)
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
    enum fh_code code = sql_run(work, sql, values, count, take_text_found, &found, NULL, error);
    if (code == FH_OK && !found.found)
        return error_set(error, FH_NOT_FOUND, "There is no such row in the ledger.");
    return code;
}

const char *ledger_copy(struct arena *arena, const struct sql_value *value)
{
    return value->kind == SQL_TEXT ? arena_copy(arena, value->text, value->length) : NULL;
}

/* ---- meta ---- */

enum fh_code sql_ledger_meta_get(struct store_work *work, const char *name, char *ret, size_t size,
                                 struct fh_error *error)
{
    struct sql_value values[] = {sql_text(name)};
    enum fh_code code =
        ledger_text(work, "SELECT value FROM fh_meta WHERE name = ?1", values, 1, ret, size, error);
    return code == FH_NOT_FOUND ? FH_OK : code;
}

enum fh_code sql_ledger_meta_put(struct store_work *work, const char *name, const char *value,
                                 struct fh_error *error)
{
    struct sql_value values[] = {sql_text(name), sql_text(value)};
    return ledger_do(work, ledger_sql(work, LEDGER_META_PUT), values, 2, NULL, error);
}

static enum fh_code run_scripts(struct store_work *work, const char *const *scripts,
                                struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (; *scripts && code == FH_OK; scripts++)
        code = work->store->engine->sql->script(work, *scripts, error);
    return code;
}

/* The format is written last: where changes of the schema commit at once, a crash between them
 * leaves a store whose tables are still to be created. */
static enum fh_code prepare_tables(struct store_work *work, struct fh_error *error)
{
    const struct sql_ops *sql = work->store->engine->sql;
    const struct ledger_schema *schema = sql->dialect->schema;
    char format[8];
    enum fh_code code = sql->script(work, schema->meta, error);
    if (code == FH_OK)
        code = sql_ledger_meta_get(work, "format", format, sizeof format, error);
    if (code != FH_OK || strcmp(format, schema->format) == 0)
        return code;
    bool older = schema->upgrade && strcmp(format, schema->before) == 0;
    bool lacking = strstr(schema->lacking, format) != NULL;
    if (format[0] && !older && !lacking)
        return error_set(error, FH_UNSUPPORTED,
                         "The store's ledger has format %s; this program knows format %s.", format,
                         schema->format);
    if (older)
        code = run_scripts(work, schema->upgrade, error);
    if (code == FH_OK)
        code = run_scripts(work, schema->tables, error);
    return code == FH_OK ? sql_ledger_meta_put(work, "format", schema->format, error) : code;
}

enum fh_code sql_ledger_prepare(struct store_work *work, char ret_incarnation[ID_SIZE],
                                struct fh_error *error)
{
    const struct ledger_schema *schema = work->store->engine->sql->dialect->schema;
    enum fh_code code = prepare_tables(work, error);
    if (code == FH_OK && schema->functions)
        code = run_scripts(work, schema->functions, error);
    if (code == FH_OK)
        code = sql_ledger_meta_get(work, LEDGER_INCARNATION, ret_incarnation, ID_SIZE, error);
    if (code != FH_OK || ret_incarnation[0])
        return code;
    unsigned char random[10];
    world_random(work->store->world, random, sizeof random);
    id_format(ret_incarnation, world_wall_ms(work->store->world), random);
    return sql_ledger_meta_put(work, LEDGER_INCARNATION, ret_incarnation, error);
}

enum fh_code sql_ledger_position(struct store_work *work, int64_t *ret, struct fh_error *error)
{
    const struct sql_ops *sql = work->store->engine->sql;
    return sql->position ? sql->position(work, ret, error) : ledger_position_read(work, ret, error);
}

enum fh_code ledger_position_read(struct store_work *work, int64_t *ret, struct fh_error *error)
{
    return ledger_integer(work, "SELECT position FROM fh_counter WHERE one = 1", NULL, 0, ret,
                          error);
}

/* ---- outbox ---- */

uint32_t ledger_hash(uint32_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619;
    return hash;
}

unsigned ledger_key_lock(const char *key)
{
    return ledger_hash(LEDGER_HASH_OF_NOTHING, key) % LEDGER_KEY_LOCKS;
}

/* Units of work that publish events of one key do so one after another: each holds the key's lock
 * until it has committed, and draws seq from the outbox while it holds the lock. */
static enum fh_code lock_event_keys(struct store_work *work, const struct ledger_event *events,
                                    struct fh_error *error)
{
    bool locked[LEDGER_KEY_LOCKS] = {false};
    for (const struct ledger_event *event = events; event; event = event->next)
        locked[ledger_key_lock(event->key)] = true;
    enum fh_code code = FH_OK;
    for (int i = 0; i < LEDGER_KEY_LOCKS && code == FH_OK; i++) {
        struct sql_value stripe[] = {sql_integer(i)};
        if (locked[i]) /* in this order, so that units of work don't deadlock */
            code = ledger_do(work, ledger_sql(work, LEDGER_KEY_LOCK), stripe, 1, NULL, error);
    }
    return code;
}

enum fh_code ledger_append_unnumbered(struct store_work *work, const struct ledger_event *event,
                                      struct fh_error *error)
{
    struct sql_value values[] = {sql_text(event->id),         sql_text(event->type),
                                 sql_integer(event->version), sql_text(event->key),
                                 sql_integer(event->time_ms), sql_text(event->data),
                                 sql_text(event->trace)};
    return ledger_do(work, ledger_sql(work, LEDGER_OUTBOX_APPEND), values, LEDGER_COUNT(values),
                     NULL, error);
}

/* False: the dialect has no statement for it. */
static bool append_locked(struct store_work *work, const struct ledger_event *event,
                          enum fh_code *ret, struct fh_error *error)
{
    const char *sql = ledger_sql(work, LEDGER_OUTBOX_APPEND_LOCKED);
    struct sql_value values[] = {
        sql_text(event->id),         sql_text(event->type),
        sql_integer(event->version), sql_text(event->key),
        sql_integer(event->time_ms), sql_text(event->data),
        sql_text(event->trace),      sql_integer(ledger_key_lock(event->key))};
    if (sql)
        *ret = ledger_do(work, sql, values, LEDGER_COUNT(values), NULL, error);
    return sql != NULL;
}

enum fh_code sql_ledger_outbox_append(struct store_work *work, struct ledger_event *events,
                                      struct fh_error *error)
{
    const struct sql_ops *sql = work->store->engine->sql;
    return sql->append ? sql->append(work, events, error) : ledger_append(work, events, error);
}

enum fh_code ledger_append(struct store_work *work, struct ledger_event *events,
                           struct fh_error *error)
{
    enum fh_code alone;
    if (events && !events->next) {
        events->position = events->previous = 0;
        if (append_locked(work, events, &alone, error))
            return alone;
    }
    enum fh_code code = lock_event_keys(work, events, error);
    for (struct ledger_event *event = events; event && code == FH_OK; event = event->next) {
        event->position = event->previous = 0;
        code = ledger_append_unnumbered(work, event, error);
    }
    return code;
}

enum fh_code sql_ledger_derived_touch(struct store_work *work, const char *keys,
                                      struct fh_error *error)
{
    const char *sql = ledger_sql(work, LEDGER_DERIVED_TOUCH);
    struct sql_value values[] = {sql_text(keys)};
    return sql ? ledger_do(work, sql, values, 1, NULL, error) : FH_OK;
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
                                 .id = ledger_word(&v[1]),
                                 .type = ledger_word(&v[2]),
                                 .version = (int)v[3].integer,
                                 .key = ledger_word(&v[4]),
                                 .previous = v[5].integer,
                                 .time_ms = v[6].integer,
                                 .data = ledger_word(&v[7]),
                                 .trace = v[8].text};
    return to->visit(to->context, &event);
}

enum fh_code sql_ledger_outbox_read(struct store_work *work, int64_t after, int limit,
                                    bool (*visit)(void *context, const struct ledger_event *event),
                                    void *context, struct fh_error *error)
{
    struct sql_value values[] = {sql_integer(after), sql_integer(limit)};
    struct event_visit to = {visit, context};
    return sql_run(work,
                   "SELECT position, event_id, type, version, fh_outbox.key, prev, time_ms, data,"
                   " trace FROM fh_outbox WHERE position > ?1 ORDER BY position LIMIT ?2",
                   values, 2, visit_event, &to, NULL, error);
}

enum fh_code sql_ledger_outbox_trimmed(struct store_work *work, int64_t *ret_position,
                                       char ret_id[ID_SIZE], struct fh_error *error)
{
    char position[24];
    enum fh_code code =
        sql_ledger_meta_get(work, LEDGER_TRIMMED_POSITION, position, sizeof position, error);
    *ret_position = 0;
    if (code == FH_OK && position[0])
        sscanf(position, "%" SCNd64, ret_position);
    return code == FH_OK ? sql_ledger_meta_get(work, LEDGER_TRIMMED_ID, ret_id, ID_SIZE, error)
                         : code;
}

enum fh_code sql_ledger_outbox_id_at(struct store_work *work, int64_t position,
                                     char ret_id[ID_SIZE], struct fh_error *error)
{
    struct sql_value values[] = {sql_integer(position)};
    enum fh_code code = ledger_text(work, "SELECT event_id FROM fh_outbox WHERE position = ?1",
                                    values, 1, ret_id, ID_SIZE, error);
    return code == FH_NOT_FOUND ? FH_OK : code;
}

enum fh_code sql_ledger_outbox_trim(struct store_work *work, int64_t position, int limit,
                                    int64_t *ret_removed, struct fh_error *error)
{
    int64_t trimmed = 0, last = 0;
    char id[ID_SIZE], number[24];
    *ret_removed = 0;
    enum fh_code code = sql_ledger_outbox_trimmed(work, &trimmed, id, error);
    if (code == FH_OK)
        code = sql_ledger_position(work, &last, error);
    if (code != FH_OK)
        return code;
    if (position > last)
        position = last;
    int64_t through = position - trimmed > limit ? trimmed + limit : position;
    if (through <= trimmed)
        return FH_OK;
    code = sql_ledger_outbox_id_at(work, through, id, error);
    snprintf(number, sizeof number, "%" PRId64, through);
    if (code == FH_OK)
        code = sql_ledger_meta_put(work, LEDGER_TRIMMED_POSITION, number, error);
    if (code == FH_OK)
        code = sql_ledger_meta_put(work, LEDGER_TRIMMED_ID, id, error);
    struct sql_value values[] = {sql_integer(through)};
    if (code == FH_OK)
        code = ledger_do(work, "DELETE FROM fh_outbox WHERE position <= ?1", values, 1, ret_removed,
                         error);
    return code;
}

enum fh_code sql_ledger_subscriber_put(struct store_work *work, const char *name,
                                       const char *partition, const char *incarnation, int64_t done,
                                       int64_t seen, int64_t now_ms, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(name),    sql_text(partition), sql_text(incarnation),
                                 sql_integer(done), sql_integer(seen),   sql_integer(now_ms)};
    return ledger_do(work, ledger_sql(work, LEDGER_SUBSCRIBER_PUT), values, LEDGER_COUNT(values),
                     NULL, error);
}

struct subscriber_visit {
    bool (*visit)(void *context, const struct ledger_subscriber *subscriber);
    void *context;
};

static bool visit_subscriber_row(void *context, const struct sql_row *row)
{
    const struct subscriber_visit *to = context;
    const struct sql_value *v = row->values;
    struct ledger_subscriber subscriber = {.name = ledger_word(&v[0]),
                                           .partition = ledger_word(&v[1]),
                                           .incarnation = ledger_word(&v[2]),
                                           .done = v[3].integer,
                                           .seen = v[4].integer,
                                           .updated_ms = v[5].integer};
    return to->visit(to->context, &subscriber);
}

enum fh_code sql_ledger_subscribers_get(struct store_work *work,
                                        bool (*visit)(void *context,
                                                      const struct ledger_subscriber *subscriber),
                                        void *context, struct fh_error *error)
{
    struct subscriber_visit to = {visit, context};
    return sql_run(work,
                   "SELECT name, share, incarnation, done, seen, updated_ms FROM fh_subscriber"
                   " ORDER BY name, share",
                   NULL, 0, visit_subscriber_row, &to, NULL, error);
}

/* ---- cursors ---- */

static bool take_cursor(void *context, const struct sql_row *row)
{
    struct ledger_cursor *cursor = context;
    snprintf(cursor->incarnation, sizeof cursor->incarnation, "%s", ledger_word(&row->values[0]));
    cursor->position = row->values[1].integer;
    snprintf(cursor->event_id, sizeof cursor->event_id, "%s", ledger_word(&row->values[2]));
    cursor->epoch = row->values[3].integer;
    return true;
}

enum fh_code sql_ledger_cursor_get(struct store_work *work, const char *source,
                                   const char *partition, struct ledger_cursor *ret,
                                   struct fh_error *error)
{
    struct sql_value values[] = {sql_text(source), sql_text(partition)};
    *ret = (struct ledger_cursor){0};
    return sql_run(work,
                   "SELECT incarnation, position, event_id, epoch FROM fh_cursor"
                   " WHERE source = ?1 AND share = ?2",
                   values, 2, take_cursor, ret, NULL, error);
}

enum fh_code sql_ledger_cursor_move(struct store_work *work, const char *source,
                                    const char *partition, const struct ledger_cursor *old,
                                    const struct ledger_cursor *next, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(source),
                                 sql_text(partition),
                                 sql_text(next->incarnation),
                                 sql_integer(next->position),
                                 sql_text(next->event_id),
                                 sql_integer(next->epoch),
                                 sql_text(old->incarnation),
                                 sql_integer(old->position),
                                 sql_integer(old->epoch)};
    int64_t moved = 0;
    enum fh_code code = FH_OK;
    if (!old->incarnation[0] && !old->epoch) /* a cursor that was taken exists */
        code = ledger_do(work, ledger_sql(work, LEDGER_CURSOR_BEGIN), values, 6, &moved, error);
    /* A cursor that was created for a partition exists too: it has never moved, and was copied with
     * its store. */
    if (code == FH_OK && !moved)
        code = ledger_do(work,
                         "UPDATE fh_cursor SET incarnation = ?3, position = ?4, event_id = ?5,"
                         " epoch = ?6 WHERE source = ?1 AND share = ?2 AND incarnation = ?7"
                         " AND position = ?8 AND epoch = ?9",
                         values, LEDGER_COUNT(values), &moved, error);
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

static bool visit_migration_row(void *context, const struct sql_row *row)
{
    const struct migration_visit *to = context;
    return to->visit(to->context, row->values[0].integer, ledger_word(&row->values[1]),
                     ledger_word(&row->values[2]));
}

enum fh_code sql_ledger_migrations_get(struct store_work *work,
                                       bool (*visit)(void *context, int64_t version,
                                                     const char *name, const char *checksum),
                                       void *context, struct fh_error *error)
{
    struct migration_visit to = {visit, context};
    return sql_run(work, "SELECT version, name, checksum FROM fh_migration ORDER BY version", NULL,
                   0, visit_migration_row, &to, NULL, error);
}

enum fh_code sql_ledger_migration_put(struct store_work *work, int64_t version, const char *name,
                                      const char *checksum, int64_t now_ms, struct fh_error *error)
{
    struct sql_value values[] = {sql_integer(version), sql_text(name), sql_text(checksum),
                                 sql_integer(now_ms)};
    int64_t inserted; /* requested, so that a conflict is reported here and not at the commit */
    const char *sql = "INSERT INTO fh_migration (version, name, checksum, applied_ms)"
                      " VALUES (?1, ?2, ?3, ?4)";
    return ledger_do(work, sql, values, LEDGER_COUNT(values), &inserted, error);
}
