/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outbox of the group's units of work. Their events get positions at once, from memory, and are
 * written together by the job that commits the group, off the loop:
 *
 *     append     position + 1, a copy in the group's arena             on the loop, no statement
 *     write      each event's row and its key's last position, then the counter, once
 *                                                           in the commit's job, before COMMIT
 *
 * The position is right because there is one writer: it is fh_counter's, read before the group's
 * first event, and what was assigned since. So whatever reads or changes these tables on the
 * writing connection has the events written first: statements that name one of them, through a view
 * or a trigger too, are told apart when they are prepared (statement.c).
 *
 * A unit of work that is rolled back takes its events with it, and gives their positions back. If
 * the group's transaction is rolled back, the counter is read again. A row that can't be written (a
 * full disk) fails the commit as any other failure does: the members run again.
 *
 * Killed between append and COMMIT: neither the events nor the changes that they report are there.
 */

#include <string.h>

#include "engine/sqlite/internal.h"
#include "store/relational/ledger.h"

#define KEPT_SIZE_MAX ((size_t)4 << 20) /* of a group; those beyond it are written on the loop */

struct sqlite_late_row {
    struct ledger_event event;
    struct sqlite_late_row *next;
};

void sqlite_late_init(struct sqlite_late *late)
{
    *late = (struct sqlite_late){.position = SQLITE_POSITION_UNKNOWN};
    arena_init(&late->arena, KEPT_SIZE_MAX);
}

bool sqlite_late_is_written(const struct sqlite_late *late)
{
    return late->written == late->last;
}

void sqlite_late_clear(struct sqlite_late *late)
{
    arena_release(&late->arena);
    late->first = late->last = late->written = NULL;
}

void sqlite_late_forget(struct sqlite_late *late)
{
    sqlite_late_clear(late);
    late->position = SQLITE_POSITION_UNKNOWN;
}

struct sqlite_late_mark sqlite_late_mark(const struct sqlite_late *late)
{
    return (struct sqlite_late_mark){late->last, late->written, late->position};
}

void sqlite_late_return(struct sqlite_late *late, const struct sqlite_late_mark *mark)
{
    late->last = mark->last;
    late->written = mark->written;
    late->position = mark->position;
    if (mark->last)
        mark->last->next = NULL;
    else
        late->first = NULL;
}

/* ---- writing ---- */

static int write_statement(struct sqlite_store *store, const char *sql,
                           const struct sql_value *values, int count)
{
    struct sqlite_prepared *prepared;
    int result = sqlite_statement_get(&store->writer, sql, &prepared);
    if (result != SQLITE_OK)
        return result;
    result = sqlite_bind(prepared->statement, values, count);
    if (result == SQLITE_OK)
        result = sqlite3_step(prepared->statement);
    if (result != SQLITE_DONE)
        result = sqlite3_extended_errcode(store->writer.db);
    sqlite_statement_done(&store->writer, sql, prepared);
    return result == SQLITE_DONE ? SQLITE_OK : result;
}

static int write_event(struct sqlite_store *store, const struct ledger_event *event)
{
    struct sql_value values[] = {sql_integer(event->position), sql_text(event->id),
                                 sql_text(event->type),        sql_integer(event->version),
                                 sql_text(event->key),         sql_integer(event->time_ms),
                                 sql_text(event->data),        sql_text(event->trace)};
    struct sql_value place[] = {sql_text(event->key), sql_integer(event->position)};
    int result = write_statement(
        store,
        "INSERT INTO fh_outbox (position, event_id, type, version, key, prev, time_ms, data, trace)"
        " VALUES (?1, ?2, ?3, ?4, ?5,"
        " coalesce((SELECT position FROM fh_last_of_key WHERE key = ?5), 0), ?6, ?7, ?8)",
        values, sizeof values / sizeof *values);
    if (result != SQLITE_OK)
        return result;
    return write_statement(store,
                           "INSERT INTO fh_last_of_key (key, position) VALUES (?1, ?2)"
                           " ON CONFLICT (key) DO UPDATE SET position = excluded.position",
                           place, 2);
}

static int write_counter(struct sqlite_store *store, int64_t position)
{
    struct sql_value last[] = {sql_integer(position)};
    return write_statement(store, "UPDATE fh_counter SET position = ?1 WHERE one = 1", last, 1);
}

int sqlite_late_write_now(struct sqlite_store *store, const struct ledger_event *event)
{
    int result = sqlite_late_write(store);
    if (result == SQLITE_OK)
        result = write_event(store, event);
    return result == SQLITE_OK ? write_counter(store, event->position) : result;
}

int sqlite_late_write(struct sqlite_store *store)
{
    struct sqlite_late *late = &store->late;
    if (sqlite_late_is_written(late))
        return SQLITE_OK;
    struct sqlite_late_row *next = late->written ? late->written->next : late->first;
    for (; next; next = next->next) {
        int result = write_event(store, &next->event);
        if (result != SQLITE_OK)
            return result;
    }
    int result = write_counter(store, late->last->event.position);
    if (result == SQLITE_OK)
        late->written = late->last;
    return result;
}

/* ---- keeping ---- */

static char *copy_to(char **at, const char *text)
{
    size_t size = text ? strlen(text) + 1 : 0;
    char *copy = text ? memcpy(*at, text, size) : NULL;
    *at += size;
    return copy;
}

static size_t copied_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

bool sqlite_late_keep(struct sqlite_late *late, const struct ledger_event *event)
{
    size_t size = sizeof(struct sqlite_late_row) + copied_size(event->id) +
                  copied_size(event->type) + copied_size(event->key) + copied_size(event->data) +
                  copied_size(event->trace);
    struct sqlite_late_row *appended = arena_try_alloc(&late->arena, size);
    if (!appended)
        return false;
    char *at = (char *)(appended + 1);
    *appended = (struct sqlite_late_row){.event = *event};
    appended->event.id = copy_to(&at, event->id);
    appended->event.type = copy_to(&at, event->type);
    appended->event.key = copy_to(&at, event->key);
    appended->event.data = copy_to(&at, event->data);
    appended->event.trace = copy_to(&at, event->trace);
    appended->event.next = NULL;
    if (late->last)
        late->last->next = appended;
    else
        late->first = appended;
    late->last = appended;
    return true;
}
