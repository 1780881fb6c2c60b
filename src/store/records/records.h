/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RECORDS_H
#define STORE_RECORDS_H

/*
 * The ledger of the engines that keep it as records: JSON objects, by table and id. ledger*.c here
 * implement the ledger's functions. An engine provides the records (struct record_ops), and the
 * few functions in which engines differ: how events are published and read, and how sagas start.
 *
 * Tables and ids (parts joined by U+001F; numbers have 19 digits, steps and elements 9):
 *
 *     meta           "incarnation", "format", ...; "trimmed" (position, event_id)
 *     subscriber     name, share                    cursor         source, share
 *     parked         source, share, position, key   parked_key     source, share, key
 *     command        caller, key                    caller         caller, birth
 *     caller_newest  caller                         lease          name
 *     saga           birth, number                  saga_step      birth, number, step, element
 *     migration      version                        round          source, share
 *     applied        source, share, type, key       timer          kind, due_ms, name
 *
 * On engines that keep parked events by key (parked_by_key) the key comes before the position.
 */

#include <inttypes.h>

#include "store/ledger.h"
#include "store/ledger_snapshot.h"

#define RECORD_ID_SIZE 2048
#define RECORD_SEPARATOR "\x1f"
#define RECORD_NUMBER "%019" PRId64
#define RECORDS_CHANGED_MAX 1000 /* by one unit of work; the rest comes later */

/* Which of a table's records to visit. */
enum record_list {
    RECORDS_ALL,        /* not for meta, caller*, command, round and saga */
    RECORDS_OPEN,       /* sagas "running", "compensating" or "parked" */
    RECORDS_OVER,       /* sagas "ended", "undone" or "abandoned" */
    RECORDS_AT_REST,    /* sagas that nobody carries on: all except "running" and "compensating" */
    RECORDS_UNCLOSED,   /* sagas that are over, with "closed" 0 */
    RECORDS_CLOSED,     /* ... with "closed" 1 */
    RECORDS_STARTED,    /* all sagas, by the ids of their start events */
    RECORDS_OF_CLIENT,  /* commands of outside clients ("birth" is "") */
    RECORDS_OF_SERVICE, /* all other commands; only records_commands_read asks for it */
};

struct record_field {
    const char *name, *value;
};

/* Records in the order of their ids; RECORDS_CLOSED and RECORDS_OF_CLIENT oldest first if the
 * engine can do that. All conditions that are given must hold. */
struct record_range {
    const char *table;
    enum record_list list;
    const char *within; /* with RECORDS_ALL: ids that begin with this and a separator */
    /* Fields that must have these values: with RECORDS_ALL the first parts of the id, in order; for
     * sagas the birth, then the start_id. */
    struct record_field fields[3];
    struct record_field also; /* any other field */
    const char *after;        /* with RECORDS_OPEN: ids after this one; NULL: from the first */
    int64_t below; /* sagas: their number is below this; clients' commands: created_ms is; 0: any */
    /* Sagas: updated_ms is below this; 0: any. With RECORDS_CLOSED alone. */
    int64_t before_ms;
    int limit; /* up to RECORDS_CHANGED_MAX; 0: all */
    bool last_first;
    bool looks; /* the unit of work does not depend on what it finds */
    bool ids; /* no more than their ids need be there, and no other condition holds than `within` */
};

/* What an engine provides. Reads see the unit of work's own changes; JSON is on the heap. */
struct record_ops {
    bool parked_by_key;
    bool numbers_steps; /* "number" is also a field of a step, not only part of its id */

    /* FH_OK with NULL: no such record. New reference, not to be changed. */
    enum fh_code (*get)(struct store_work *work, const char *table, const char *id, json_t **ret,
                        struct fh_error *error);
    /* Reads several at once for `get`, which then returns them from memory: for units of work that
     * write. NULL: nothing is gained by that. */
    enum fh_code (*get_ahead)(struct store_work *work, const char *table, const char *const *ids,
                              int count, struct fh_error *error);
    /* Takes ownership of `record` (without its id; NULL: removes it). */
    enum fh_code (*put)(struct store_work *work, const char *table, const char *id, json_t *record,
                        struct fh_error *error);
    /* Each with its "id", valid only while visit runs, unless that takes a reference; visit returns
     * false to stop. In as few round trips as the engine can. Open sagas, and in a unit of work
     * that only reads those of one saga's steps, and timers, are read in parts: there may be more
     * than memory holds, or than one unit of work may read. */
    enum fh_code (*each)(struct store_work *work, const struct record_range *range,
                         bool (*visit)(void *context, json_t *record), void *context,
                         struct fh_error *error);
    /* At the commit: removes all records whose ids begin with `within` and a separator, however
     * many, except those that this unit of work has put itself. It still sees the others. */
    enum fh_code (*clear)(struct store_work *work, const char *table, const char *within,
                          struct fh_error *error);

    /* At the commit: removes the events up to position `through`. */
    enum fh_code (*outbox_clear)(struct store_work *work, int64_t through, struct fh_error *error);
    /* Removes the commands with numbers up to `through` except those in the array `still_open`; if
     * they are too many for one unit of work, some of them later. No new command comes with such a
     * number. */
    enum fh_code (*commands_close)(struct store_work *work, const char *caller, const char *birth,
                                   int64_t through, const json_t *still_open,
                                   struct fh_error *error);
    /* See ledger_snapshot.h; `keys` is an array that is not empty. */
    enum fh_code (*key_places)(struct store_work *work, const json_t *keys,
                               bool (*visit)(void *context, const char *key, int64_t position),
                               void *context, struct fh_error *error);
    enum fh_code (*parked_clear)(struct store_work *work, const char *source, const char *partition,
                                 struct fh_error *error);
};

/* Functions that need only records. The rest of LEDGER_FUNCTIONS are the engine's own, and so is
 * `prepare`, which may be records_prepare. */
/* clang-format off */
#define RECORDS_FUNCTIONS(X) \
    X(outbox_trimmed) X(outbox_trim) X(subscriber_put) X(subscribers_get) \
    X(cursor_get) X(cursor_move) X(cursor_partitions) X(cursors_get) X(cursor_take) X(leases_get) X(lease_take) \
    X(lease_renew) X(lease_drop) X(parked_any) X(parked_has) X(parked_count) X(parked_put) \
    X(parked_take) X(parked_edit) X(parked_failed) X(parked_keys) X(parked_events) \
    X(command_get) X(command_put) X(commands_expire) X(caller_get) X(caller_close) \
    X(caller_newest) X(caller_set_newest) X(saga_update) X(saga_get) X(saga_find) X(step_put) \
    X(steps_get) X(steps_answered) X(sagas_adopt) X(saga_take) X(sagas_open) X(sagas_over) X(sagas_closable) \
    X(sagas_closed) X(sagas_unclosed) X(sagas_forget) X(migrations_get) X(migration_put) \
    X(timer_put) X(timers_take) X(timers_read) X(timer_get) X(timers_count) \
    X(meta_get) X(meta_put)
/* clang-format on */
#define LEDGER_SLOT(name) __typeof__(ledger_##name) records_##name;
RECORDS_FUNCTIONS(LEDGER_SLOT)
LEDGER_SLOT(prepare) /* an engine may have more to do */
/* For engines whose `each` also covers "caller" and commands of RECORDS_OF_SERVICE. */
LEDGER_SLOT(commands_read)
LEDGER_SLOT(callers_read)
#undef LEDGER_SLOT
#define RECORDS_SLOT(name) .name = records_##name,
extern const struct ledger_snapshot_ops records_snapshots;

/* ---- For engines, and shared by these files ---- */

/* json_pack on the heap, whatever arena is set. Never NULL. */
json_t *record_pack(const char *format, ...);
/* A text that may be missing: NULL if it is. */
const char *record_optional(const json_t *record, const char *name);
/* Never NULL: "" if there is none. */
static inline const char *record_text(const json_t *record, const char *name)
{
    const char *text = record_optional(record, name);
    return text ? text : "";
}
/* 0 if it has none. */
int64_t record_integer(const json_t *record, const char *name);
/* On the arena; NULL if it has none. */
const char *record_copy(struct arena *arena, const json_t *record, const char *name);
/* Whether a record that was read has the fields that each of its table has. FH_UNAVAILABLE, and
 * store_is_damaged: it was not written by us. */
enum fh_code record_check(const char *table, const json_t *record, struct fh_error *error);
/* Joins the parts of an id. FH_INVALID: it is too long. */
enum fh_code record_id(char id[static RECORD_ID_SIZE], struct fh_error *error, const char *format,
                       ...) __attribute__((format(printf, 3, 4)));
/* A saga's number, from its record's id. */
int64_t record_number(const json_t *saga);
/* The values of a saga record's status, and the counter of each; NULL: no such status. */
#define RECORD_STATUSES 6
extern const char *const record_statuses[RECORD_STATUSES];
int64_t *record_count(struct ledger_counts *counts, const char *status);
/* Whether a saga with this status will never change again. */
bool record_saga_is_over(const char *status);
/* The exclusive bound that includes all numbers up to `number`. Sagas' numbers begin with 1. */
static inline int64_t record_behind(int64_t number)
{
    return number < 0 ? 1 : number < INT64_MAX ? number + 1 : number;
}
/* Whether the array of numbers contains it. */
bool record_names(const json_t *numbers, int64_t number);

/* Puts the record `before` (on the heap, or NULL) with its fields replaced by those of `values`
 * (taken). */
enum fh_code records_set(struct store_work *work, const char *table, const char *id,
                         const json_t *before, json_t *values, struct fh_error *error);
/* The records of a range as an array on the heap. */
enum fh_code records_gather(struct store_work *work, const struct record_range *range, json_t **ret,
                            struct fh_error *error);

static inline const struct record_ops *records_of(const struct store_work *work)
{
    return work->store->engine->ledger->records;
}
static inline enum fh_code records_get(struct store_work *work, const char *table, const char *id,
                                       json_t **ret, struct fh_error *error)
{
    enum fh_code code = records_of(work)->get(work, table, id, ret, error);
    if (!code && *ret && (code = record_check(table, *ret, error)) != FH_OK) {
        json_decref(*ret);
        *ret = NULL;
    }
    return code;
}
static inline enum fh_code records_put(struct store_work *work, const char *table, const char *id,
                                       json_t *record, struct fh_error *error)
{
    return records_of(work)->put(work, table, id, record, error);
}
enum fh_code records_each(struct store_work *work, const struct record_range *range,
                          bool (*visit)(void *context, json_t *record), void *context,
                          struct fh_error *error);

struct ledger_command record_command(const json_t *record); /* borrows its texts */
struct ledger_caller record_caller(const json_t *record);   /* so does this */
/* A saga that starts, and an element of a step, as they are stored; and the part of the step's id
 * that follows its saga's id. */
json_t *records_saga(const struct store *store, const struct ledger_saga *saga,
                     const char *start_id);
json_t *records_step(const struct ledger_step *step);
#define RECORD_PLACE_SIZE 48
void records_step_place(char place[static RECORD_PLACE_SIZE], int step, int element);

/* Checks events as they are read: positions are dense, so one that is missing was trimmed since the
 * reader was checked (FH_UNAVAILABLE). */
struct records_reading {
    bool (*visit)(void *context, const struct ledger_event *event);
    void *context;
    int64_t next; /* the position that must come next */
    int left;
    bool goes_on;
};
enum fh_code records_event(struct records_reading *reading, const struct ledger_event *event,
                           struct fh_error *error);

#endif
