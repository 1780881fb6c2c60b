/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger's records: each is in its table under its id, and is found by going over all. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static enum fh_code get(struct store_work *work, const char *table, const char *id, json_t **ret,
                        struct fh_error *error)
{
    (void)error;
    *ret = json_incref(toy_get(work, table, id));
    return FH_OK;
}

static enum fh_code put(struct store_work *work, const char *table, const char *id, json_t *record,
                        struct fh_error *error)
{
    struct arena *arena = json_arena_set(NULL);
    if (record)
        json_object_set_new(record, "id", json_string(id));
    json_arena_set(arena);
    return toy_put(work, table, id, record, error);
}

/* ---- Ranges ---- */

static bool is_listed(enum record_list list, const json_t *record)
{
    const char *status = record_text(record, "status");
    switch (list) {
    case RECORDS_OPEN:
        return !record_saga_is_over(status);
    case RECORDS_OVER:
        return record_saga_is_over(status);
    case RECORDS_AT_REST:
        return strcmp(status, "running") != 0 && strcmp(status, "compensating") != 0;
    case RECORDS_UNCLOSED:
        return record_saga_is_over(status) && record_integer(record, "closed") == 0;
    case RECORDS_CLOSED:
        return record_saga_is_over(status) && record_integer(record, "closed") == 1;
    case RECORDS_OF_CLIENT:
        return record_text(record, "birth")[0] == '\0';
    case RECORDS_OF_SERVICE:
        return record_text(record, "birth")[0] != '\0';
    case RECORDS_ALL:
    case RECORDS_STARTED:
    default:
        return true;
    }
}

/* NULL: any value. */
static bool has_field(const json_t *record, const struct record_field *field)
{
    return !field->value || strcmp(record_text(record, field->name), field->value) == 0;
}

static bool is_in(const struct record_range *range, const char *id, const json_t *record)
{
    bool client = range->list == RECORDS_OF_CLIENT;
    return is_listed(range->list, record) && (!range->within || toy_is_within(id, range->within)) &&
           has_field(record, &range->fields[0]) && has_field(record, &range->fields[1]) &&
           has_field(record, &range->fields[2]) && has_field(record, &range->also) &&
           (!range->below || (client ? record_integer(record, "created_ms")
                                     : record_number(record)) < range->below) &&
           (!range->before_ms || record_integer(record, "updated_ms") < range->before_ms);
}

/* ---- Order ---- */

struct found {
    json_t *record;
    int64_t age;
};

static int compare(const void *left, const void *right)
{
    const struct found *a = left, *b = right;
    if (a->age != b->age)
        return a->age < b->age ? -1 : 1;
    return strcmp(record_text(a->record, "id"), record_text(b->record, "id"));
}

static int64_t age_of(enum record_list list, const json_t *record)
{
    return list == RECORDS_CLOSED      ? record_integer(record, "updated_ms")
           : list == RECORDS_OF_CLIENT ? record_integer(record, "created_ms")
                                       : 0;
}

/* Those that are in the range, in order, each referenced: a visit may change the table. */
static size_t gather(json_t *records, const struct record_range *range, struct found *found)
{
    size_t count = 0;
    const char *id;
    json_t *record;
    json_object_foreach (records, id, record) {
        if (is_in(range, id, record))
            found[count++] = (struct found){json_incref(record), age_of(range->list, record)};
    }
    qsort(found, count, sizeof *found, compare);
    return count;
}

static enum fh_code each(struct store_work *work, const struct record_range *range,
                         bool (*visit)(void *context, json_t *record), void *context,
                         struct fh_error *error)
{
    json_t *records = toy_table(work, range->table);
    struct found *found = calloc(json_object_size(records) + 1, sizeof *found);
    if (!found)
        return error_set(error, FH_NO_MEMORY, "There is no memory to look for %s.", range->table);
    size_t count = gather(records, range, found);
    size_t most = range->limit && (size_t)range->limit < count ? (size_t)range->limit : count;
    bool goes_on = true;
    for (size_t i = 0; i < most && goes_on; i++)
        goes_on = visit(context, found[range->last_first ? count - 1 - i : i].record);
    for (size_t i = 0; i < count; i++)
        json_decref(found[i].record);
    free(found);
    return FH_OK;
}

/* ---- Clearing ---- */

static enum fh_code clear(struct store_work *work, const char *table, const char *within,
                          struct fh_error *error)
{
    struct toy_work *toy = (struct toy_work *)work;
    struct arena *arena = json_arena_set(NULL);
    if (!toy->clearings)
        toy->clearings = json_array();
    int failed = json_array_append_new(toy->clearings, record_pack("[ss]", table, within));
    json_arena_set(arena);
    return failed ? error_set(error, FH_NO_MEMORY, "There is no memory to clear %s.", table)
                  : FH_OK;
}

static bool is_through(void *context, const char *id, const json_t *value)
{
    (void)value;
    return strcmp(id, context) <= 0;
}

static enum fh_code outbox_clear(struct store_work *work, int64_t through, struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    enum fh_code code = record_id(id, error, RECORD_NUMBER, through);
    return code == FH_OK ? toy_remove(work, TOY_OUTBOX, is_through, id, error) : code;
}

struct closing {
    const char *caller, *birth;
    int64_t through;
    const json_t *still_open;
};

static bool is_closed(void *context, const char *id, const json_t *record)
{
    const struct closing *closing = context;
    struct ledger_command command = record_command(record);
    (void)id;
    return strcmp(command.caller, closing->caller) == 0 &&
           strcmp(command.birth, closing->birth) == 0 && command.number <= closing->through &&
           command.outcome != LEDGER_PENDING && !record_names(closing->still_open, command.number);
}

static enum fh_code commands_close(struct store_work *work, const char *caller, const char *birth,
                                   int64_t through, const json_t *still_open,
                                   struct fh_error *error)
{
    struct closing closing = {caller, birth, through, still_open};
    return toy_remove(work, "command", is_closed, &closing, error);
}

static bool is_parked(void *context, const char *id, const json_t *value)
{
    (void)value;
    return toy_is_within(id, context);
}

static enum fh_code parked_clear(struct store_work *work, const char *source, const char *share,
                                 struct fh_error *error)
{
    char within[RECORD_ID_SIZE];
    enum fh_code code = record_id(within, error, "%s" RECORD_SEPARATOR "%s", source, share);
    if (code == FH_OK)
        code = toy_remove(work, "parked", is_parked, within, error);
    return code == FH_OK ? toy_remove(work, "parked_key", is_parked, within, error) : code;
}

static enum fh_code key_places(struct store_work *work, const json_t *keys,
                               bool (*visit)(void *context, const char *key, int64_t position),
                               void *context, struct fh_error *error)
{
    size_t index;
    json_t *key;
    (void)error;
    json_array_foreach (keys, index, key) {
        const json_t *place = toy_get(work, TOY_PLACE, json_string_value(key));
        if (place && !visit(context, json_string_value(key), record_integer(place, "position")))
            break;
    }
    return FH_OK;
}

const struct record_ops toy_records = {
    .get = get,
    .put = put,
    .each = each,
    .clear = clear,
    .outbox_clear = outbox_clear,
    .commands_close = commands_close,
    .key_places = key_places,
    .parked_clear = parked_clear,
};
