/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every decimal number of 15 digits is another double, and 17 digits tell any two doubles apart. So
 * fewer than 15 need to be tried only of those numbers that have lost precision at the lower end of
 * the range: "%g" leaves zeros at the end out.
 *
 * What reads back as a double is an interval around it. The nearest decimal number of so many
 * digits is in it if any is, except at the powers of two: what is below such a double is half as
 * far away as what is above it. So there the nearest one may be below and out, and the next one
 * above be in.
 */

#include "base/real.h"

#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reads_back(const char *digits, double real)
{
    return strtod(digits, NULL) == real; /* NOLINT: the same double is what is meant */
}

/* The last of its digits by one up, in magnitude. Nines alone would be a number of fewer digits. */
static void next_digits(char *digits)
{
    char *at = digits + strcspn(digits, "e");
    while (at-- > digits) {
        if (!isdigit((unsigned char)*at))
            continue;
        if (*at != '9') {
            ++*at;
            return;
        }
        *at = '0';
    }
}

static bool next_reads_back(double real, int precision, char digits[static REAL_DIGITS_SIZE])
{
    int exponent;
    if (fabs(frexp(real, &exponent)) != 0.5) /* NOLINT: no power of two */
        return false;
    snprintf(digits, REAL_DIGITS_SIZE, "%.*e", precision - 1, real);
    next_digits(digits);
    return reads_back(digits, real);
}

void real_digits(double real, char digits[static REAL_DIGITS_SIZE])
{
    int precision = fabs(real) < DBL_MIN ? 1 : DBL_DIG;
    for (; precision <= DBL_DECIMAL_DIG; precision++) {
        snprintf(digits, REAL_DIGITS_SIZE, "%.*g", precision, real);
        if (reads_back(digits, real) || next_reads_back(real, precision, digits))
            return;
    }
}
