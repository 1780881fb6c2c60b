/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The late rows of the group's units of work: their events, and the records of their commands. They
 * are kept in memory, and written together by the job that commits the group, off the loop:
 *
 *     keep       a copy in the group's arena; an event gets its position, one more than the last
 *                                                                      on the loop, no statement
 *     write      each event's row and its key's last position; each record; then the counter, once
 *                                                           in the commit's job, before COMMIT
 *
 * The position is right because there is one writer: it is fh_counter's, read before the group's
 * first event, and what was assigned since. So whatever reads or changes these tables on the
 * writing connection has the late rows written first: statements that name one of them, through a
 * view or a trigger too, are told apart when they are prepared (statement.c). Only the look for a
 * command's record goes without, when it is certain that none is kept.
 *
 * A unit of work that is rolled back takes its rows with it, and gives their positions back. If
 * the group's transaction is rolled back, the counter is read again. A row that can't be written (a
 * full disk) fails the commit as any other failure does: the members run again.
 *
 * Killed between keep and COMMIT: neither the rows nor the changes that they report are there.
 */

#include <string.h>

#include "engine/sqlite/internal.h"
#include "store/relational/ledger.h"

#define KEPT_SIZE_MAX ((size_t)4 << 20) /* of a group; those beyond it are written on the loop */

struct sqlite_late_row {
    struct sqlite_late_row *next;
    bool command;
    union {
        struct ledger_event event;
        struct ledger_command record;
    };
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
    memset(late->commands, 0, sizeof late->commands);
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

static int write_late_record(struct sqlite_store *store, const struct ledger_command *record)
{
    struct sql_value values[LEDGER_COMMAND_VALUES];
    ledger_command_values(record, values);
    return write_statement(store, sqlite_ledger_statements[LEDGER_COMMAND_PUT], values,
                           LEDGER_COMMAND_VALUES);
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

/* If one fails, none counts as written. */
int sqlite_late_write(struct sqlite_store *store)
{
    struct sqlite_late *late = &store->late;
    if (sqlite_late_is_written(late))
        return SQLITE_OK;
    int64_t position = 0;
    struct sqlite_late_row *row = late->written ? late->written->next : late->first;
    for (; row; row = row->next) {
        int result =
            row->command ? write_late_record(store, &row->record) : write_event(store, &row->event);
        if (result != SQLITE_OK)
            return result;
        position = row->command ? position : row->event.position;
    }
    int result = position ? write_counter(store, position) : SQLITE_OK;
    if (result == SQLITE_OK)
        late->written = late->last;
    return result;
}

/* ---- keeping ---- */

static size_t copied_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

/* Takes the row over, with copies of the texts to which its pointers point. */
static bool keep_late_row(struct sqlite_late *late, struct sqlite_late_row *row,
                          const char **texts[], size_t count)
{
    size_t size = sizeof *row;
    for (size_t i = 0; i < count; i++)
        size += copied_size(*texts[i]);
    struct sqlite_late_row *kept = arena_try_alloc(&late->arena, size);
    if (!kept)
        return false;
    char *at = (char *)(kept + 1);
    for (size_t i = 0; i < count; i++) {
        size = copied_size(*texts[i]);
        *texts[i] = *texts[i] ? memcpy(at, *texts[i], size) : NULL;
        at += size;
    }
    *kept = *row;
    if (late->last)
        late->last->next = kept;
    else
        late->first = kept;
    late->last = kept;
    return true;
}

bool sqlite_late_keep_event(struct sqlite_late *late, const struct ledger_event *event)
{
    struct sqlite_late_row row = {.event = *event};
    row.event.next = NULL;
    const char **texts[] = {&row.event.id, &row.event.type, &row.event.key, &row.event.data,
                            &row.event.trace};
    return keep_late_row(late, &row, texts, sizeof texts / sizeof *texts);
}

static unsigned command_bit(const char *caller, const char *key)
{
    uint32_t hash = ledger_hash(ledger_hash(LEDGER_HASH_OF_NOTHING, caller), key);
    return (hash ^ hash >> 16) % SQLITE_LATE_COMMAND_BITS;
}

bool sqlite_late_may_keep(const struct sqlite_late *late, const char *caller, const char *key)
{
    unsigned bit = command_bit(caller, key);
    return late->commands[bit / 64] >> bit % 64 & 1;
}

bool sqlite_late_keep_command(struct sqlite_late *late, const struct ledger_command *command)
{
    struct sqlite_late_row row = {.command = true, .record = *command};
    const char **texts[] = {&row.record.caller,     &row.record.key,     &row.record.birth,
                            &row.record.digest,     &row.record.request, &row.record.answer,
                            &row.record.undo_answer};
    if (!keep_late_row(late, &row, texts, sizeof texts / sizeof *texts))
        return false;
    unsigned bit = command_bit(command->caller, command->key);
    late->commands[bit / 64] |= UINT64_C(1) << bit % 64;
    return true;
}

void sqlite_late_filter(const struct sqlite_late *late, struct sqlite_filter *filter)
{
    for (const struct sqlite_late_row *row = late->first; row; row = row->next) {
        if (row->command)
            sqlite_filter_add(filter, row->record.caller, row->record.key);
    }
}
