/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers within their bounds: doubles (FH_NUMBER) and exact decimals (FH_DECIMAL). Whole bounds
 * are a field's min and max, as an integer's are; others are texts. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shape/text.h"
#include "shape/walk.h"

#define BOUND_SIZE 24

/* NULL: there is no such bound. */
static const char *lower_bound(const fh_field *field, char digits[static BOUND_SIZE])
{
    if (field->minimum || (field->min == 0 && field->max == 0))
        return field->minimum;
    snprintf(digits, BOUND_SIZE, "%" PRId64, field->min);
    return digits;
}

static const char *upper_bound(const fh_field *field, char digits[static BOUND_SIZE])
{
    if (field->maximum || !shape_has_upper_bound(field))
        return field->maximum;
    snprintf(digits, BOUND_SIZE, "%" PRId64, field->max);
    return digits;
}

bool shape_bounds_meet(const fh_field *field)
{
    char least_digits[BOUND_SIZE], most_digits[BOUND_SIZE];
    const char *least = lower_bound(field, least_digits), *most = upper_bound(field, most_digits);
    if (!least || !most)
        return true;
    return field->type == FH_DECIMAL
               ? shape_decimal_compare(least, strlen(least), most, strlen(most)) <= 0
               : strtod(least, NULL) <= strtod(most, NULL);
}

static void fault_bounds(struct shape_faults *faults, const struct shape_place *place,
                         const fh_field *field, const json_t *value)
{
    char least_digits[BOUND_SIZE], most_digits[BOUND_SIZE];
    const char *least = lower_bound(field, least_digits), *most = upper_bound(field, most_digits);
    struct text detail;
    text_init(&detail, SHAPE_DETAIL_LENGTH_MAX);
    text_printf(&detail, "expected %s", shape_type_expected(field));
    if (least && most)
        text_printf(&detail, " from %s to %s", least, most);
    else if (least)
        text_printf(&detail, " of at least %s", least);
    else
        text_printf(&detail, " of at most %s", most);
    shape_found(faults, &detail, value);
    shape_fault(faults, place, &detail);
}

void shape_check_number(struct shape_faults *faults, const struct shape_place *place,
                        const fh_field *field, const json_t *value)
{
    char digits[BOUND_SIZE];
    double found = json_number_value(value);
    const char *least = lower_bound(field, digits);
    bool fits = !least || found >= strtod(least, NULL);
    const char *most = upper_bound(field, digits);
    if (!fits || (most && found > strtod(most, NULL)))
        fault_bounds(faults, place, field, value);
}

void shape_check_decimal(struct shape_faults *faults, const struct shape_place *place,
                         const fh_field *field, const json_t *value)
{
    char digits[BOUND_SIZE];
    const char *found = json_string_value(value);
    size_t length = json_string_length(value);
    if (!shape_decimal_fits(field, found, length)) {
        struct text detail;
        text_init(&detail, SHAPE_DETAIL_LENGTH_MAX);
        text_printf(&detail, "expected %s of at most %d digits before and %d after the point",
                    shape_type_expected(field), shape_decimal_precision(field) - field->scale,
                    field->scale);
        shape_found(faults, &detail, value);
        shape_fault(faults, place, &detail);
        return;
    }
    const char *least = lower_bound(field, digits);
    bool fits = !least || shape_decimal_compare(found, length, least, strlen(least)) >= 0;
    const char *most = upper_bound(field, digits);
    if (!fits || (most && shape_decimal_compare(found, length, most, strlen(most)) > 0))
        fault_bounds(faults, place, field, value);
}
