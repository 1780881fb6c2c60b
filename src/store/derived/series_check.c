/* SPDX-License-Identifier: Apache-2.0 */
/* What may be declared of a series, and of columns, and which points or facts they take: the same
 * for all engines. */

#include <stdio.h>

#include "base/json.h"
#include "store/derived/series.h"

/* ---- The declaration ---- */

enum fh_code series_field_check(const struct fh_derived *declared,
                                const struct fh_derived_field *field, struct fh_error *error)
{
    bool fits = field->use == FH_TAG
                    ? field->type == FH_STRING || field->type == FH_INT || field->type == FH_BOOL
                    : field->type == FH_NUMBER || field->type == FH_INT;
    if (field->use != 0 && field->use != FH_TAG)
        return error_set(error, FH_INVALID,
                         "The field %s of %s has a use that it can't have there: "
                         "expected FH_TAG, or none if it is measured.",
                         field->name, declared->name);
    if (!fits)
        return error_set(error, FH_INVALID,
                         "The field %s of %s has a type that it can't have: expected %s.",
                         field->name, declared->name,
                         field->use ? "FH_STRING, FH_INT or FH_BOOL of an FH_TAG"
                                    : "FH_NUMBER or FH_INT of one that is measured");
    if (field->weight)
        return error_set(error, FH_INVALID,
                         "The field %s of %s has a weight, which FH_TEXT alone has.", field->name,
                         declared->name);
    return FH_OK;
}

enum fh_code series_declared_check(const struct fh_derived *declared, struct fh_error *error)
{
    bool tagged = false;
    for (const struct fh_derived_field *field = declared->fields; field && field->name; field++)
        tagged |= series_is_tag(field);
    if (!tagged && declared->model == FH_SERIES)
        return error_set(error, FH_INVALID,
                         "The series %s has no field that is FH_TAG, so nothing says whose a point "
                         "is.",
                         declared->name);
    if (declared->state || declared->keys || declared->language)
        return error_set(error, FH_INVALID,
                         "%s has `state`, `keys` or `language`, which FH_SEARCH alone "
                         "has.",
                         declared->name);
    if (declared->keep_days < 0 || declared->keep_days > SERIES_KEEP_DAYS_MAX)
        return error_set(error, FH_INVALID,
                         "%s keeps what it has for %d days: expected 0, for ever, to %d.",
                         declared->name, declared->keep_days, SERIES_KEEP_DAYS_MAX);
    return FH_OK;
}

/* ---- Its values ---- */

bool series_integer(const json_t *value, int64_t *ret)
{
    json_int_t integer;
    if (!json_integer_at(value, "", &integer))
        return false;
    *ret = integer;
    return true;
}

bool series_tag_value(const struct fh_derived_field *field, const json_t *value,
                      struct sql_value *ret)
{
    int64_t integer;
    if (field->type == FH_STRING && json_is_string(value)) {
        *ret = sql_text(json_string_value(value));
        return true;
    }
    if (field->type == FH_INT && series_integer(value, &integer)) {
        *ret = sql_integer(integer);
        return true;
    }
    *ret = sql_integer(json_is_true(value));
    return field->type == FH_BOOL && json_is_boolean(value);
}

struct sql_value series_measured_value(const struct fh_derived_field *field, const json_t *value)
{
    struct sql_value ret = {.kind = SQL_NULL};
    if (json_is_null(value))
        return ret;
    if (field->type == FH_NUMBER)
        return (struct sql_value){.kind = SQL_REAL, .real = json_number_value(value)};
    ret.kind = SQL_INTEGER;
    series_integer(value, &ret.integer);
    return ret;
}

struct sql_value series_value_of(const struct fh_derived_field *field, const json_t *value)
{
    struct sql_value ret;
    if (!series_is_tag(field))
        return series_measured_value(field, value);
    series_tag_value(field, value, &ret);
    return ret;
}

int series_tag_compare(const struct sql_value *one, const struct sql_value *other)
{
    if (one->kind != SQL_TEXT)
        return (one->integer > other->integer) - (one->integer < other->integer);
    size_t length = one->length < other->length ? one->length : other->length;
    int order = memcmp(one->text, other->text, length);
    return order ? order : (one->length > other->length) - (one->length < other->length);
}

/* ---- A question, of either ---- */

int series_field_at(const struct fh_derived *declared, const char *name)
{
    for (int i = 0; declared->fields[i].name; i++) {
        if (strcmp(declared->fields[i].name, name) == 0)
            return i;
    }
    return -1;
}

int series_tag_at(const struct fh_derived *declared, const char *name)
{
    int field = series_field_at(declared, name);
    return field >= 0 && series_is_tag(&declared->fields[field]) ? field : -1;
}

static bool is_series_time(int64_t at_ms)
{
    return at_ms >= -SERIES_AT_MS_MAX && at_ms <= SERIES_AT_MS_MAX;
}

enum fh_code series_times_check(const char *what, int64_t from_ms, int64_t to_ms, int64_t every_ms,
                                struct fh_error *error)
{
    if (!is_series_time(from_ms))
        return derived_unfit(error, "from_ms", "`from_ms` is no time that a %s can have.", what);
    if (!is_series_time(to_ms))
        return derived_unfit(error, "to_ms", "`to_ms` is no time that a %s can have.", what);
    if (every_ms < 0 || every_ms > SERIES_AT_MS_MAX)
        return derived_unfit(error, "every_ms",
                             "`every_ms` is no length that an interval can have.");
    return FH_OK;
}

/* ---- A point, or a fact ---- */

static bool is_measured(const struct fh_derived_field *field, const json_t *value)
{
    int64_t integer;
    return json_is_null(value) ||
           (field->type == FH_INT ? series_integer(value, &integer) : json_is_number(value));
}

/* JSON has neither NaN nor infinity, and jansson makes no value of them. */
static enum fh_code check_fact_member(const struct fh_derived *declared,
                                      const struct fh_derived_field *field, const json_t *value,
                                      struct fh_error *error)
{
    struct sql_value unheeded;
    if (!value)
        return error_set(error, FH_UNSUPPORTED, "A point of %s lacks its field %s.", declared->name,
                         field->name);
    if (!(series_is_tag(field) ? series_tag_value(field, value, &unheeded)
                               : is_measured(field, value)))
        return error_set(error, FH_UNSUPPORTED,
                         "A point of %s has a field %s that is not of its declared type.",
                         declared->name, field->name);
    return series_is_tag(field) ? derived_word_check(field, value, error) : FH_OK;
}

enum fh_code series_fact_check(const struct fh_derived *declared, int64_t at_ms, const json_t *fact,
                               struct fh_error *error)
{
    enum fh_code code = FH_OK;
    if (!json_is_object(fact))
        return error_set(error, FH_UNSUPPORTED, "A point of %s must be an object.", declared->name);
    for (const struct fh_derived_field *field = declared->fields; field->name && !code; field++)
        code = check_fact_member(declared, field, json_object_get(fact, field->name), error);
    if (code == FH_OK && !is_series_time(at_ms))
        code = derived_unfit(
            error, "at_ms", "The time of a point must be within 8,640,000,000,000,000 ms of 1970.");
    return code;
}
