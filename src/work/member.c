/* SPDX-License-Identifier: Apache-2.0 */
/* Members of JSON whose form the handler knows: what is not there, or is of another type, is its
 * own fault, which the log names. Words for that are made only then. */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "base/json.h"
#include "shape/shape.h"
#include "work/batch.h"

#define SAFE_INTEGER (INT64_C(1) << 53)

static _Noreturn void member_fault(fh_work *w, const char *call, const json_t *object,
                                   const char *name, enum fh_type type)
{
    const fh_field shape[] = {{name, type}, {"*", FH_ANY, .optional = true}, {0}};
    const json_t *fault = object ? json_array_get(shape_check(shape, object), 0) : NULL;
    const char *detail = fault ? json_string_at(fault, "detail") : "there is no object";
    work_fault(w, "%s \"%.64s\": %s", call, name, detail);
}

const char *fh_text(fh_work *w, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value) && !json_is_null(value))
        member_fault(w, "fh_text", object, name, FH_STRING);
    return json_string_value(value);
}

/* As rows have integers that a double can't hold. */
static bool read_large_integer(const char *text, int64_t *ret)
{
    char *end;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    return isdigit((unsigned char)text[*text == '-']) && !*end && errno == 0 &&
           (*ret > SAFE_INTEGER || *ret < -SAFE_INTEGER);
}

int64_t fh_int(fh_work *w, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    int64_t large;
    if (json_is_string(value) && read_large_integer(json_string_value(value), &large))
        return large;
    if (!json_is_integer(value))
        member_fault(w, "fh_int", object, name, FH_INT);
    return json_integer_value(value);
}

double fh_real(fh_work *w, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_number(value))
        member_fault(w, "fh_real", object, name, FH_NUMBER);
    return json_number_value(value);
}

bool fh_bool(fh_work *w, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_boolean(value))
        member_fault(w, "fh_bool", object, name, FH_BOOL);
    return json_is_true(value);
}

json_t *fh_column(fh_work *w, const json_t *rows, const char *name)
{
    json_t *column = json_array(), *row;
    size_t i;
    bool made = column != NULL;
    if (!json_is_array(rows))
        work_fault(w, "fh_column \"%.64s\" takes an array of objects.", name);
    json_array_foreach (rows, i, row) {
        json_t *value = json_object_get(row, name);
        if (!value)
            member_fault(w, "fh_column", row, name, FH_ANY);
        made = made && (json_is_null(value) || json_array_append(column, value) == 0);
    }
    if (!made)
        work_fail_with(w, FH_NO_MEMORY, WORK_MEMORY_FAULT);
    return column;
}
