/* SPDX-License-Identifier: Apache-2.0 */
/* Values of points and facts are kept as they stand in the outbox: a server that is told text is
 * given the same digits, and nobody makes numbers of them to print these again. */

#include "carrier/values.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/derived/series.h"

#define EXACT_MAX (UINT64_C(1) << 53) /* all integers up to there are doubles */
#define EXACT_TENS 22                 /* and all powers of ten up to this one */

int64_t carried_integer(const struct carried_value *value)
{
    bool negative = value->length && value->text[0] == '-';
    uint64_t magnitude = 0;
    for (uint32_t i = negative; i < value->length; i++)
        magnitude = magnitude * 10 + (uint64_t)(value->text[i] - '0');
    return (int64_t)(negative ? 0 - magnitude : magnitude);
}

/* One division of two numbers that are exact is rounded once, as strtod does it. So this has the
 * same bits, where there are few digits and no exponent. */
double carried_real(const struct carried_value *value)
{
    static const double tens[EXACT_TENS + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char *at = value->text, *end = at + value->length, *point = NULL;
    bool negative = at < end && *at == '-';
    uint64_t digits = 0;
    for (at += negative; at < end && digits <= EXACT_MAX / 16; at++) {
        if (*at == '.')
            point = at + 1;
        else if (*at >= '0' && *at <= '9')
            digits = digits * 10 + (uint64_t)(*at - '0');
        else
            break;
    }
    if (at < end || (point && end - point > EXACT_TENS))
        return strtod(value->text, NULL);
    double real = (double)digits / tens[point ? end - point : 0];
    return negative ? -real : real;
}

/* ---- Of JSON ---- */

static enum carried_kind write_value_text(struct text *text, const struct fh_derived_field *field,
                                          const json_t *member)
{
    struct sql_value value = series_value_of(field, member);
    switch (value.kind) {
    case SQL_TEXT:
        text_append(text, value.text, value.length);
        return CARRIED_TEXT;
    case SQL_REAL:
        json_write_real(text, value.real);
        return CARRIED_NUMBER;
    case SQL_INTEGER:
        if (field->type == FH_BOOL) {
            text_add(text, value.integer ? "true" : "false");
            return value.integer ? CARRIED_TRUE : CARRIED_FALSE;
        }
        text_integer(text, value.integer);
        return CARRIED_NUMBER;
    case SQL_NULL:
    case SQL_BLOB:
        break;
    }
    return CARRIED_NULL;
}

struct carried_value *carried_values_new(const struct fh_derived *declared, int64_t at_ms,
                                         const json_t *fact)
{
    struct fh_error unfit;
    struct carried_value values[DERIVED_FIELDS_MAX];
    struct text text;
    size_t count = 0, at = 0;
    if (series_fact_check(declared, at_ms, fact, &unfit) != FH_OK)
        return NULL;
    text_init(&text, TEXT_LENGTH_MAX);
    for (const struct fh_derived_field *field = declared->fields; field->name; field++) {
        size_t before = text.length;
        enum carried_kind kind = write_value_text(&text, field, json_object_get(fact, field->name));
        values[count++] =
            (struct carried_value){.kind = kind, .length = (uint32_t)(text.length - before)};
        text_append(&text, "", 1);
    }
    FH_ASSERT(!text.overflow);
    struct carried_value *ret = malloc(count * sizeof *ret + text.length);
    FH_ASSERT(ret != NULL);
    char *texts = memcpy((char *)(ret + count), text.data, text.length);
    for (size_t i = 0; i < count; i++) {
        ret[i] = values[i];
        ret[i].text = texts + at;
        at += values[i].length + 1;
    }
    text_release(&text);
    return ret;
}
