/* SPDX-License-Identifier: Apache-2.0 */
/* Decimal numbers as texts, which no step on the way rounds: neither a JSON reader that knows
 * doubles alone nor an engine. They are compared digit by digit. */

#include <string.h>

#include "shape/text.h"

struct decimal {
    bool negative;
    const char *whole, *fraction;
    size_t whole_length, fraction_length; /* without leading and trailing zeros */
    size_t digits, scale;                 /* as written: before the point, and after it */
};

static size_t digits_at(const char *text, size_t length)
{
    size_t count = 0;
    while (count < length && text[count] >= '0' && text[count] <= '9')
        count++;
    return count;
}

static bool decimal_read(const char *text, size_t length, struct decimal *ret)
{
    *ret = (struct decimal){.negative = length > 0 && *text == '-'};
    text += ret->negative;
    length -= ret->negative;
    ret->digits = digits_at(text, length);
    if (ret->digits == 0 || (*text == '0' && ret->digits > 1))
        return false;
    ret->whole = text;
    ret->whole_length = *text == '0' ? 0 : ret->digits;
    if (ret->digits == length)
        return true;
    ret->fraction = text + ret->digits + 1;
    ret->scale = length - ret->digits - 1;
    if (text[ret->digits] != '.' || ret->scale == 0 ||
        digits_at(ret->fraction, ret->scale) != ret->scale)
        return false;
    ret->fraction_length = ret->scale;
    while (ret->fraction_length > 0 && ret->fraction[ret->fraction_length - 1] == '0')
        ret->fraction_length--;
    return true;
}

bool shape_is_decimal(const char *text, size_t length)
{
    struct decimal decimal;
    return decimal_read(text, length, &decimal);
}

bool shape_decimal_fits(const fh_field *field, const char *text, size_t length)
{
    struct decimal decimal;
    int whole_max = shape_decimal_precision(field) - field->scale;
    return decimal_read(text, length, &decimal) && decimal.whole_length <= (size_t)whole_max &&
           decimal.scale <= (size_t)field->scale;
}

static int compare_magnitudes(const struct decimal *left, const struct decimal *right)
{
    if (left->whole_length != right->whole_length)
        return left->whole_length < right->whole_length ? -1 : 1;
    int whole = left->whole_length ? memcmp(left->whole, right->whole, left->whole_length) : 0;
    if (whole)
        return whole;
    bool left_shorter = left->fraction_length < right->fraction_length;
    size_t common = left_shorter ? left->fraction_length : right->fraction_length;
    int fraction = common ? memcmp(left->fraction, right->fraction, common) : 0;
    if (fraction || left->fraction_length == right->fraction_length)
        return fraction;
    return left_shorter ? -1 : 1;
}

int shape_decimal_compare(const char *left, size_t left_length, const char *right,
                          size_t right_length)
{
    struct decimal a, b;
    FH_ASSERT(decimal_read(left, left_length, &a) && decimal_read(right, right_length, &b));
    bool a_zero = !a.whole_length && !a.fraction_length;
    bool b_zero = !b.whole_length && !b.fraction_length;
    bool a_negative = a.negative && !a_zero, b_negative = b.negative && !b_zero;
    if (a_negative != b_negative)
        return a_negative ? -1 : 1;
    int magnitude = compare_magnitudes(&a, &b);
    return a_negative ? -magnitude : magnitude;
}

void shape_decimal_pattern(struct text *text, const fh_field *field)
{
    int whole_max = shape_decimal_precision(field) - field->scale;
    if (whole_max > 0)
        text_printf(text, "^-?(?:0|[1-9][0-9]{0,%d})", whole_max - 1);
    else
        text_add(text, "^-?0");
    if (field->scale > 0)
        text_printf(text, "(?:\\.[0-9]{1,%d})?", field->scale);
    text_add(text, "$");
}
