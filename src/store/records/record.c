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

const char *record_text(const json_t *record, const char *name)
{
    return json_string_value(json_object_get(record, name));
}

int64_t record_integer(const json_t *record, const char *name)
{
    return json_integer_value(json_object_get(record, name));
}

const char *record_copy(struct arena *arena, const json_t *record, const char *name)
{
    const char *text = record_text(record, name);
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
