/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHAPE_TEXT_H
#define SHAPE_TEXT_H

/* What the text of a string must be: its format, its pattern, a decimal number. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"
#include "freehold.h"

/* ---- Formats ---- */

bool shape_format_known(enum fh_string_format format);
const char *shape_format_name(enum fh_string_format format);     /* "date-time"; NULL: of none */
enum fh_string_format shape_format_named(const char *name);      /* FH_NO_FORMAT: none of these */
const char *shape_format_expected(enum fh_string_format format); /* "a date like 2026-03-01" */
bool shape_format_fits(enum fh_string_format format, const char *text, size_t length);

/* ---- Patterns ---- */

/* A string with a pattern has at most so many bytes, and so has a pattern. */
#define SHAPE_PATTERN_VALUE_MAX ((int64_t)4096)
#define SHAPE_PATTERN_LENGTH_MAX ((size_t)1024)
/* The longest value with which a match takes some forty milliseconds at worst, in bytes: fewer for
 * a pattern of many states. 0: shape_pattern_check refuses the pattern. */
int64_t shape_pattern_value_max(const char *pattern);

/* Whether it is of the subset that freehold.h describes. */
enum fh_code shape_pattern_check(const char *pattern, struct fh_error *error);
/* The whole text matches. A pattern that shape_pattern_check refuses matches everything. */
bool shape_pattern_fits(const char *pattern, const char *text, size_t length);
/* As ECMA-262 has it, for JSON Schema, anchored; and back (malloc'ed; NULL: it was not written
 * so). */
void shape_pattern_write(struct text *text, const char *pattern);
char *shape_pattern_read(const char *ecma);

/* ---- Decimal numbers ---- */

#define SHAPE_DECIMAL_PRECISION 38 /* where none is declared */
#define SHAPE_DECIMAL_PRECISION_MAX 65
#define SHAPE_DECIMAL_SCALE_MAX 38

static inline int shape_decimal_precision(const fh_field *field)
{
    return field->precision ? field->precision : SHAPE_DECIMAL_PRECISION;
}
/* "-12.50": no "+", no leading zeros, no exponent, at most so many digits. */
bool shape_decimal_fits(const fh_field *field, const char *text, size_t length);
bool shape_is_decimal(const char *text, size_t length); /* of any precision and scale */
/* Less than 0, 0 or more, as a number; both are decimals. */
int shape_decimal_compare(const char *left, size_t left_length, const char *right,
                          size_t right_length);
void shape_decimal_pattern(struct text *text, const fh_field *field); /* as ECMA-262 */

#endif
