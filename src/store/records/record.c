/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the ledger: creating them, reading their fields, and changing some. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/records/records.h"

json_t *record_pack(const char *format, ...)
{
    struct arena *arena = json_arena_set(NULL);
    va_list values;
    va_start(values, format);
    json_t *packed = json_vpack_ex(NULL, 0, format, values);
    va_end(values);
    json_arena_set(arena);
    FH_ASSERT(packed != NULL);
    return packed;
}

const char *record_optional(const json_t *record, const char *name)
{
    return json_string_value(json_object_get(record, name));
}

int64_t record_integer(const json_t *record, const char *name)
{
    return json_integer_value(json_object_get(record, name));
}

const char *record_copy(struct arena *arena, const json_t *record, const char *name)
{
    const char *text = record_optional(record, name);
    return text ? arena_text(arena, text) : NULL;
}

enum fh_code record_id(char id[static RECORD_ID_SIZE], struct fh_error *error, const char *format,
                       ...)
{
    va_list parts;
    va_start(parts, format);
    int length = vsnprintf(id, RECORD_ID_SIZE, format, parts);
    va_end(parts);
    if (length < RECORD_ID_SIZE)
        return FH_OK;
    return error_set(error, FH_INVALID, "A key is too long for the store's ledger.");
}

int64_t record_number(const json_t *saga)
{
    const char *digits = strrchr(record_text(saga, "id"), *RECORD_SEPARATOR);
    return digits ? strtoll(digits + 1, NULL, 10) : 0;
}

bool record_names(const json_t *numbers, int64_t number)
{
    size_t index;
    json_t *one;
    json_array_foreach (numbers, index, one) {
        if (json_integer_value(one) == number)
            return true;
    }
    return false;
}

enum fh_code records_set(struct store_work *work, const char *table, const char *id,
                         const json_t *before, json_t *values, struct fh_error *error)
{
    struct arena *arena = json_arena_set(NULL);
    json_t *after = before ? json_deep_copy(before) : json_object();
    FH_ASSERT(after && json_object_update(after, values) == 0);
    json_object_del(after, "id");
    json_decref(values);
    json_arena_set(arena);
    return records_put(work, table, id, after, error);
}

static bool gather_record(void *context, json_t *record)
{
    struct arena *arena = json_arena_set(NULL);
    FH_ASSERT(json_array_append(context, record) == 0);
    json_arena_set(arena);
    return true;
}

enum fh_code records_gather(struct store_work *work, const struct record_range *range, json_t **ret,
                            struct fh_error *error)
{
    *ret = record_pack("[]");
    enum fh_code code = records_each(work, range, gather_record, *ret, error);
    if (code) {
        json_decref(*ret);
        *ret = NULL;
    }
    return code;
}

/* ---- What was read ---- */

#define TEXTS_MAX 8

/* The texts that all records of a table have. */
static const struct {
    const char *table, *texts[TEXTS_MAX];
} needed[] = {
    {"applied", {"source", "share", "key"}},
    {"caller", {"caller", "birth", "still_open"}},
    {"caller_newest", {"incarnation"}},
    {"command", {"caller", "key", "birth", "outcome"}},
    {"cursor", {"source", "share", "incarnation", "event_id"}},
    {"lease", {"owner"}},
    {"migration", {"name", "checksum"}},
    {"parked", {"source", "share", "key", "event_id", "type", "error", "event"}},
    {"parked_key", {"source", "share", "key"}},
    {"round", {"source", "share", "behind", "seen_id"}},
    {"saga", {"birth", "name", "input", "state", "status"}},
    {"saga_step", {"birth", "target", "request", "state"}},
    {"subscriber", {"name", "share", "incarnation"}},
    {"timer", {"kind", "name", "handler", "data", "error"}},
};

static enum fh_code record_damaged(const char *table, const char *why, const char *field,
                                   struct fh_error *error)
{
    error_set(
        error, FH_UNAVAILABLE,
        "The store is damaged: a record of the ledger's table %s %s%s. Restore the store from "
        "a backup.",
        table, why, field);
    snprintf(error->native, sizeof error->native, STORE_DAMAGED);
    return FH_UNAVAILABLE;
}

enum fh_code record_check(const char *table, const json_t *record, struct fh_error *error)
{
    size_t count = sizeof needed / sizeof needed[0], i = 0;
    if (!json_is_object(record))
        return record_damaged(table, "is not an object", "", error);
    while (i < count && strcmp(needed[i].table, table) != 0)
        i++;
    for (int j = 0; i < count && j < TEXTS_MAX && needed[i].texts[j]; j++) {
        if (!record_optional(record, needed[i].texts[j]))
            return record_damaged(table, "lacks the text ", needed[i].texts[j], error);
    }
    return FH_OK;
}

struct checked {
    const char *table;
    bool (*visit)(void *context, json_t *record);
    void *context;
    enum fh_code code;
    struct fh_error *error;
};

static bool visit_checked(void *context, json_t *record)
{
    struct checked *checked = context;
    checked->code = record_check(checked->table, record, checked->error);
    return !checked->code && checked->visit(checked->context, record);
}

enum fh_code records_each(struct store_work *work, const struct record_range *range,
                          bool (*visit)(void *context, json_t *record), void *context,
                          struct fh_error *error)
{
    struct fh_error why;
    struct checked checked = {range->table, visit, context, FH_OK, &why};
    if (range->ids)
        return records_of(work)->each(work, range, visit, context, error);
    enum fh_code code = records_of(work)->each(work, range, visit_checked, &checked, error);
    if (!code && checked.code)
        *error = why;
    return code ? code : checked.code;
}
