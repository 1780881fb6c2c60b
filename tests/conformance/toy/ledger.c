/* SPDX-License-Identifier: Apache-2.0 */
/* What of the ledger is not the same for all records: the outbox, and what is read of many. */

#include "internal.h"

#include <stdio.h>
#include <string.h>

static int64_t integer_at(const struct store_work *work, const char *table, const char *id)
{
    const json_t *value = toy_get(work, table, id);
    return value ? record_integer(value, "position") : 0;
}

static enum fh_code position(struct store_work *work, int64_t *ret, struct fh_error *error)
{
    (void)error;
    *ret = integer_at(work, TOY_COUNTER, TOY_OUTBOX);
    return FH_OK;
}

/* ---- Outbox ---- */

static const json_t *event_at(const struct store_work *work, int64_t at)
{
    char id[RECORD_ID_SIZE];
    return record_id(id, ERROR_UNHEEDED, RECORD_NUMBER, at) == FH_OK ? toy_get(work, TOY_OUTBOX, id)
                                                                     : NULL;
}

static enum fh_code append(struct store_work *work, struct ledger_event *event,
                           struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    event->position = integer_at(work, TOY_COUNTER, TOY_OUTBOX) + 1;
    event->previous = integer_at(work, TOY_PLACE, event->key);
    json_t *record = record_pack(
        "{s:s, s:s, s:i, s:s, s:I, s:I, s:s, s:s?}", "event_id", event->id, "type", event->type,
        "version", event->version, "key", event->key, "prev", (json_int_t)event->previous,
        "time_ms", (json_int_t)event->time_ms, "data", event->data, "trace", event->trace);
    enum fh_code code = record_id(id, error, RECORD_NUMBER, event->position);
    if (code == FH_OK)
        code = toy_records.put(work, TOY_OUTBOX, id, record, error);
    else
        json_decref(record);
    json_int_t at = event->position;
    if (code == FH_OK)
        code = toy_records.put(work, TOY_PLACE, event->key, record_pack("{s:I}", "position", at),
                               error);
    if (code == FH_OK)
        code = toy_put(work, TOY_COUNTER, TOY_OUTBOX, record_pack("{s:I}", "position", at), error);
    return code;
}

static enum fh_code outbox_append(struct store_work *work, struct ledger_event *events,
                                  struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (struct ledger_event *event = events; event && code == FH_OK; event = event->next)
        code = append(work, event, error);
    return code;
}

static enum fh_code outbox_read(struct store_work *work, int64_t after, int limit,
                                bool (*visit)(void *context, const struct ledger_event *event),
                                void *context, struct fh_error *error)
{
    struct records_reading reading = {visit, context, after + 1, limit, true};
    int64_t last = integer_at(work, TOY_COUNTER, TOY_OUTBOX);
    enum fh_code code = FH_OK;
    for (int64_t at = after + 1; at <= last && code == FH_OK && reading.goes_on && reading.left > 0;
         at++) {
        const json_t *record = event_at(work, at);
        struct ledger_event event = {.position = at};
        if (!record)
            continue;
        event.previous = record_integer(record, "prev");
        event.time_ms = record_integer(record, "time_ms");
        event.version = (int)record_integer(record, "version");
        event.id = record_text(record, "event_id");
        event.type = record_text(record, "type");
        event.key = record_text(record, "key");
        event.data = record_text(record, "data");
        event.trace = record_optional(record, "trace");
        code = records_event(&reading, &event, error);
    }
    return code;
}

static enum fh_code outbox_id_at(struct store_work *work, int64_t at, char ret_id[ID_SIZE],
                                 struct fh_error *error)
{
    const json_t *record = event_at(work, at);
    (void)error;
    snprintf(ret_id, ID_SIZE, "%s", record ? record_text(record, "event_id") : "");
    return FH_OK;
}

/* ---- Sagas ---- */

static enum fh_code put_step(struct store_work *work, const char *saga,
                             const struct ledger_step *step, struct fh_error *error)
{
    char id[RECORD_ID_SIZE], place[RECORD_PLACE_SIZE];
    records_step_place(place, step->step, step->element);
    enum fh_code code = record_id(id, error, "%s%s", saga, place);
    return code == FH_OK ? records_put(work, "saga_step", id, records_step(step), error) : code;
}

static enum fh_code saga_start(struct store_work *work, struct ledger_event *event,
                               struct ledger_saga *saga, const struct ledger_step *steps, int count,
                               struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    enum fh_code code = outbox_append(work, event, error);
    if (code != FH_OK)
        return code;
    saga->number = event->position;
    code = record_id(id, error, "%s" RECORD_SEPARATOR RECORD_NUMBER, saga->birth, saga->number);
    if (code == FH_OK)
        code = records_put(work, "saga", id, records_saga(work->store, saga, event->id), error);
    for (int i = 0; i < count && code == FH_OK; i++) {
        struct ledger_step step = steps[i];
        step.number = saga->number;
        code = put_step(work, id, &step, error);
    }
    return code;
}

static bool count_saga(void *context, json_t *record)
{
    int64_t *count = record_count(context, record_text(record, "status"));
    if (count)
        ++*count;
    return true;
}

static enum fh_code saga_counts(struct store_work *work, struct ledger_counts *ret,
                                struct fh_error *error)
{
    *ret = (struct ledger_counts){0};
    return records_each(work, &(struct record_range){.table = "saga"}, count_saga, ret, error);
}

const struct ledger_ops toy_ledger = {
    RECORDS_FUNCTIONS(RECORDS_SLOT) /* all but these */
        .prepare = records_prepare,
    .position = position,
    .outbox_append = outbox_append,
    .outbox_read = outbox_read,
    .outbox_id_at = outbox_id_at,
    .commands_read = records_commands_read,
    .callers_read = records_callers_read,
    .saga_start = saga_start,
    .saga_counts = saga_counts,
    .snapshots = &records_snapshots,
    .records = &toy_records,
};
