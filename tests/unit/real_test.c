/* SPDX-License-Identifier: Apache-2.0 */
/* Doubles as texts: each reads back as the same double, no text of fewer digits does, and of those
 * of as many it is the nearest. */

#include "../support/values.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/real.h"

/* A decimal number: whole times ten to the power. */
struct decimal {
    long long whole;
    int power, digits;
};

/* The nearest one of so many digits. */
static struct decimal nearest_decimal(double real, int digits)
{
    char text[40], whole[40];
    snprintf(text, sizeof text, "%.*e", digits - 1, fabs(real));
    size_t length = 0;
    char *at = text;
    for (; *at != 'e'; at++) {
        if (*at != '.')
            whole[length++] = *at;
    }
    whole[length] = '\0';
    return (struct decimal){strtoll(whole, NULL, 10), atoi(at + 1) - (digits - 1), digits};
}

static bool means(struct decimal decimal, long long further, double real)
{
    char text[48];
    snprintf(text, sizeof text, "%llde%d", decimal.whole + further, decimal.power);
    return strtod(text, NULL) == fabs(real);
}

static int digits_of(const char *text)
{
    char whole[40];
    size_t length = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text >= '0' && *text <= '9' && (length || *text != '0'))
            whole[length++] = *text;
    }
    while (length > 1 && whole[length - 1] == '0')
        length--;
    return length ? (int)length : 1;
}

static void is_written_best(double real)
{
    char text[REAL_DIGITS_SIZE];
    real_digits(real, text);
    double again = strtod(text, NULL);
    if (memcmp(&again, &real, sizeof real) != 0)
        fail_msg("%a was written as %s", real, text);
    int digits = digits_of(text);
    for (int i = -1; digits > 1 && i <= 1; i++) {
        if (means(nearest_decimal(real, digits - 1), i, real))
            fail_msg("%a was written as %s, and %d digits do", real, text, digits - 1);
    }
    for (int precision = 1; precision <= 17; precision++) {
        char other[40];
        snprintf(other, sizeof other, "%.*g", precision, real);
        if (strtod(other, NULL) == real && digits_of(other) < digits)
            fail_msg("%a was written as %s, and %s is shorter", real, text, other);
    }
    struct decimal nearest = nearest_decimal(real, digits);
    if (real != 0 && means(nearest, 0, real) &&
        nearest.whole != nearest_decimal(strtod(text, NULL), digits).whole)
        fail_msg("%a was written as %s, which is not the nearest", real, text);
}

static void well_known_ones_are_written_as_people_write_them(void **state)
{
    static const struct {
        double real;
        const char *text;
    } all[] = {{19.99, "19.99"},
               {0.1 + 0.2, "0.30000000000000004"},
               {0.0, "0"},
               {-0.0, "-0"},
               {1e308, "1e+308"},
               {DBL_MAX, "1.7976931348623157e+308"},
               {5e-324, "5e-324"},
               {-5e-324, "-5e-324"},
               {DBL_MIN, "2.2250738585072014e-308"},
               {9007199254740991.0, "9007199254740991"},
               {9007199254740992.0, "9007199254740992"},
               {9007199254740994.0, "9007199254740994"},
               {0x1p-44, "5.684341886080802e-14"},
               {-0x1p-44, "-5.684341886080802e-14"}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char text[REAL_DIGITS_SIZE];
        real_digits(all[i].real, text);
        assert_string_equal(text, all[i].text);
    }
}

/* Below each the doubles are twice as near to one another as above. */
static void powers_of_two_and_their_neighbours_have_the_fewest_digits(void **state)
{
    (void)state;
    for (int power = -1074; power <= 1023; power++) {
        double real = ldexp(1, power);
        is_written_best(real);
        is_written_best(-real);
        is_written_best(nextafter(real, 0));
        if (power < 1023)
            is_written_best(nextafter(real, INFINITY));
    }
    is_written_best(DBL_MAX);
}

static void powers_of_ten_and_their_neighbours_have_the_fewest_digits(void **state)
{
    (void)state;
    for (int power = -323; power <= 308; power++) {
        char text[16];
        snprintf(text, sizeof text, "1e%d", power);
        double real = strtod(text, NULL);
        is_written_best(real);
        is_written_best(nextafter(real, 0));
        is_written_best(nextafter(real, INFINITY));
    }
}

static void whatever_the_bits_they_read_back_from_the_fewest_digits(void **state)
{
    uint64_t bits = 1;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        double real;
        bits = bits * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t mixed = bits ^ (bits >> 29);
        memcpy(&real, &mixed, sizeof real);
        if (isfinite(real))
            is_written_best(real);
        is_written_best((double)(int64_t)(bits >> 40) / 100); /* as prices are */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_known_ones_are_written_as_people_write_them),
        cmocka_unit_test(powers_of_two_and_their_neighbours_have_the_fewest_digits),
        cmocka_unit_test(powers_of_ten_and_their_neighbours_have_the_fewest_digits),
        cmocka_unit_test(whatever_the_bits_they_read_back_from_the_fewest_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
