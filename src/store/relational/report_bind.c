/* SPDX-License-Identifier: Apache-2.0 */
/* What a report is asked with: JSON by the types of its notes, or texts, as people type them in. No
 * message tells a value. */

#include "store/relational/report.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static bool is_whole_text(const json_t *value)
{
    return strlen(json_string_value(value)) == json_string_length(value);
}

static bool integer_of_text(const json_t *value, int64_t *ret)
{
    const char *text = json_string_value(value);
    char *end;
    if (!is_whole_text(value) || !(isdigit((unsigned char)*text) || *text == '-'))
        return false;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    return errno == 0 && end != text && !*end;
}

static bool number_of_text(const json_t *value, double *ret)
{
    json_t *number = NULL;
    if (json_parse(json_string_value(value), json_string_length(value), &number, ERROR_UNHEEDED) !=
        FH_OK)
        return false;
    bool is_number = json_is_number(number);
    *ret = json_number_value(number);
    json_decref(number);
    return is_number && isfinite(*ret);
}

static bool bind_integer(const json_t *value, struct sql_value *ret)
{
    int64_t integer = json_integer_value(value);
    if (!json_is_integer(value) && !(json_is_string(value) && integer_of_text(value, &integer)))
        return false;
    *ret = sql_integer(integer);
    return true;
}

static bool bind_number(const json_t *value, struct sql_value *ret)
{
    double number = json_number_value(value);
    if (!json_is_number(value) && !(json_is_string(value) && number_of_text(value, &number)))
        return false;
    *ret = (struct sql_value){.kind = SQL_REAL, .real = number};
    return true;
}

static bool bind_boolean(const json_t *value, struct sql_value *ret)
{
    const char *text = json_string_value(value);
    bool is_true = json_is_true(value) || (text && strcmp(text, "true") == 0);
    if (!is_true && !json_is_false(value) && !(text && strcmp(text, "false") == 0))
        return false;
    *ret = sql_integer(is_true);
    return true;
}

static bool bind_typed(const json_t *value, enum report_type type, struct sql_value *ret)
{
    switch (type) {
    case REPORT_INTEGER:
        return bind_integer(value, ret);
    case REPORT_NUMBER:
        return bind_number(value, ret);
    case REPORT_BOOLEAN:
        return bind_boolean(value, ret);
    case REPORT_TEXT:
        break;
    }
    *ret = (struct sql_value){
        .kind = SQL_TEXT, .text = json_string_value(value), .length = json_string_length(value)};
    return json_is_string(value);
}

enum fh_code report_bind(const struct report *report, json_t *const *objects, int count,
                         struct sql_value values[static RELATIONAL_NAMES_MAX],
                         struct fh_error *error)
{
    for (int i = 0; i < report->reading.count; i++) {
        const char *name = report->reading.names[i], *type = report_type_name(report->types[i]);
        const json_t *value = NULL;
        for (int j = 0; j < count && !value; j++)
            value = json_object_get(objects[j], name);
        values[i] = (struct sql_value){.kind = SQL_NULL};
        if ((!value || json_is_null(value)) && report->optional[i])
            continue;
        if (!value)
            return error_set(error, FH_UNSUPPORTED, "The report %s takes \"%s\", of type %s.",
                             report->name, name, type);
        if (!bind_typed(value, report->types[i], &values[i]))
            return error_set(error, FH_UNSUPPORTED,
                             "The report %s takes \"%s\" of type %s, and was given something else.",
                             report->name, name, type);
    }
    return FH_OK;
}
