/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the events of a group's units of work to the outbox with one statement, fh_append, in the
 * order of the units. It locks all their keys in the same order as a single unit of work does
 * (ledger.c), so there can be no deadlock. Where possible it also assigns their positions
 * (ledger_schema.c says when); whether it did is known when COMMIT is answered.
 */

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "store/relational/ledger.h"
#include "store/relational/ledger_schema.h"
#include "store/relational/ledger_sql.h"
#include "engine/postgresql/internal.h"

#define STRIPES 0 /* the first array; the columns of an event follow */
#define ARRAYS 8
#define NUMBERING_APART_MAX 64 /* groups */
#define ARRAY_SIZE_MAX (TEXT_LENGTH_MAX * 2)

/* Appends an element to an array; a NULL pointer becomes SQL's NULL. */
static void add_text_element(struct text *array, const char *value)
{
    text_append(array, array->length ? "," : "{", 1);
    if (!value) {
        text_append(array, "NULL", 4);
        return;
    }
    text_append(array, "\"", 1);
    for (const char *at = value;;) {
        size_t length = strcspn(at, "\"\\");
        text_append(array, at, length);
        at += length;
        if (!*at)
            break;
        text_append(array, "\\", 1);
        text_append(array, at++, 1);
    }
    text_append(array, "\"", 1);
}

static void add_integer_element(struct text *array, int64_t value)
{
    text_printf(array, "%c%" PRId64, array->length ? ',' : '{', value);
}

static void add_event_columns(struct text arrays[ARRAYS], const struct ledger_event *event)
{
    add_text_element(&arrays[1], event->id);
    add_text_element(&arrays[2], event->type);
    add_integer_element(&arrays[3], event->version);
    add_text_element(&arrays[4], event->key);
    add_integer_element(&arrays[5], event->time_ms);
    add_text_element(&arrays[6], event->data);
    add_text_element(&arrays[7], event->trace);
}

static int add_all_columns(struct text arrays[ARRAYS], struct ledger_event *const *lists, int count)
{
    bool locked[LEDGER_KEY_LOCKS] = {false};
    int events = 0;
    for (int i = 0; i < count; i++) {
        for (struct ledger_event *event = lists[i]; event; event = event->next, events++) {
            event->position = event->previous = 0;
            locked[ledger_key_lock(event->key)] = true;
            add_event_columns(arrays, event);
        }
    }
    for (int i = 0; i < LEDGER_KEY_LOCKS; i++) {
        if (locked[i])
            add_integer_element(&arrays[STRIPES], i);
    }
    return events;
}

static enum fh_code send_append(struct postgresql_work *work, struct text arrays[ARRAYS],
                                bool numbers, struct fh_error *error)
{
    struct sql_value values[ARRAYS + 1];
    for (int i = 0; i < ARRAYS; i++) {
        text_append(&arrays[i], "}", 1);
        if (arrays[i].overflow)
            return error_set(error, FH_CONFLICT,
                             "The units of work of one transaction publish too much.");
        values[i] = (struct sql_value){
            .kind = SQL_TEXT, .text = arrays[i].data, .length = arrays[i].length};
    }
    values[ARRAYS] = sql_integer(numbers);
    return postgresql_run_later(work, ledger_sql(&work->base, LEDGER_OUTBOX_APPEND_ALL), values,
                                ARRAYS + 1, &work->appended, error);
}

enum fh_code postgresql_append_all(struct postgresql_work *work, struct ledger_event *const *lists,
                                   int count, bool numbers, struct fh_error *error)
{
    struct text arrays[ARRAYS];
    for (int i = 0; i < ARRAYS; i++)
        text_init(&arrays[i], ARRAY_SIZE_MAX);
    enum fh_code code = FH_OK;
    if (add_all_columns(arrays, lists, count))
        code = send_append(work, arrays, numbers, error);
    for (int i = 0; i < ARRAYS; i++)
        text_release(&arrays[i]);
    return code;
}

static bool take_first_position(void *context, const struct sql_row *row)
{
    if (row->values[0].kind == SQL_INTEGER)
        *(int64_t *)context = row->values[0].integer;
    return true;
}

void postgresql_appended(struct postgresql_work *work)
{
    struct postgresql_call *call = work->appended;
    if (!call)
        return;
    work->appended = NULL;
    postgresql_call_rows(call, take_first_position, work->ret_first);
    postgresql_work_ended(work, call);
    postgresql_call_end(call);
}

/* ---- Whether a group numbers its events ---- */

static void numbering_failed(struct postgresql_gather *gather)
{
    gather->numbers = false;
    gather->apart = gather->apart_next;
    gather->apart_next = gather->apart_next ? gather->apart_next * 2 : 1;
    if (gather->apart_next > NUMBERING_APART_MAX)
        gather->apart_next = NUMBERING_APART_MAX;
}

/* A group that numbers its events must begin after the sequencer's call, or its snapshot is too
 * old. So it waits for that one call; if another has started by then, the sequencer is in demand,
 * and the group leaves the numbering to it. The first numbering group begins after any group that
 * does not number. False: it must wait. */
bool postgresql_numbering_gate(struct postgresql_store *store)
{
    struct postgresql_gather *gather = &store->gather;
    if (gather->apart || !store->sequencing) {
        gather->gated = false;
        return gather->apart || gather->numbers || !gather->groups;
    }
    if (!gather->gated)
        gather->gate = store->sequenced;
    gather->gated = true;
    if (gather->gate == store->sequenced)
        return false;
    gather->gated = false;
    numbering_failed(gather);
    return true;
}

bool postgresql_may_number(const struct postgresql_store *store)
{
    return !store->gather.apart && !store->sequencing;
}

void postgresql_numbering_told(struct postgresql_gather *gather, bool tried, bool numbered)
{
    if (numbered) {
        gather->numbers = true;
        gather->apart_next = 0;
    } else if (tried) {
        numbering_failed(gather);
    } else if (gather->apart) {
        gather->apart--;
    }
}
