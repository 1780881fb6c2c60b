/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a series knows of one field in one interval, and how a roll-up keeps it: in 72 bytes, the
 * least significant first, the same on every machine.
 *
 *     8    how many values there are
 *     16   their sum: of an FH_INT in 128 bits, in which no sum of 2^63 values of 64 bits
 * overflows; of an FH_NUMBER its 64 significant bits, a binary exponent in 32, and 1 if it is
 * negative 32   the least, the greatest, the first and the last one: an integer, or the bits of a
 * double 16   the times of the first and of the last one
 *
 * So a sum is kept with all the bits that it has while a question adds it up, 64 on most machines:
 * what was an interval on the way is summed up as exactly as points are.
 */

#include "store/derived/series_rollup.h"

#include <math.h>

#define SUM_AT 8
#define VALUES_AT 24
#define TIMES_AT 56
#define SIGNIFICANT_BITS 64

__extension__ typedef unsigned __int128 cell_bits;

/* ---- One more value, or several ---- */

union series_number series_number_of(enum fh_type type, const struct sql_value *value)
{
    union series_number number = {.integer = value->integer};
    if (type != FH_INT)
        number.real = value->kind == SQL_REAL ? value->real : (double)value->integer;
    return number;
}

static bool is_less(enum fh_type type, union series_number one, union series_number other)
{
    return type == FH_INT ? one.integer < other.integer : one.real < other.real;
}

void series_cell_merge(struct series_cell *cell, enum fh_type type, const struct series_cell *more)
{
    if (more->count == 0)
        return;
    if (cell->count == 0) {
        *cell = *more;
        return;
    }
    cell->count += more->count;
    if (type == FH_INT)
        cell->sum.integer += more->sum.integer;
    else
        cell->sum.real += more->sum.real;
    if (is_less(type, more->min, cell->min))
        cell->min = more->min;
    if (is_less(type, cell->max, more->max))
        cell->max = more->max;
    if (more->first_ms < cell->first_ms ||
        (more->first_ms == cell->first_ms && more->first_curve < cell->first_curve)) {
        cell->first = more->first;
        cell->first_ms = more->first_ms;
        cell->first_curve = more->first_curve;
    }
    if (more->last_ms > cell->last_ms ||
        (more->last_ms == cell->last_ms && more->last_curve > cell->last_curve)) {
        cell->last = more->last;
        cell->last_ms = more->last_ms;
        cell->last_curve = more->last_curve;
    }
}

void series_cell_add(struct series_cell *cell, enum fh_type type, union series_number number,
                     int64_t at_ms, int curve)
{
    struct series_cell one = {.count = 1,
                              .min = number,
                              .max = number,
                              .first = number,
                              .last = number,
                              .first_ms = at_ms,
                              .last_ms = at_ms,
                              .first_curve = curve,
                              .last_curve = curve};
    if (type == FH_INT)
        one.sum.integer = number.integer;
    else
        one.sum.real = (long double)number.real;
    series_cell_merge(cell, type, &one);
}

/* ---- As bytes ---- */

static void write_bits(unsigned char *to, uint64_t bits)
{
    for (int i = 0; i < 8; i++)
        to[i] = (unsigned char)(bits >> 8 * i);
}

static uint64_t read_bits(const unsigned char *from)
{
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits |= (uint64_t)from[i] << 8 * i;
    return bits;
}

static void write_sum(const struct series_cell *cell, enum fh_type type, unsigned char *to)
{
    if (type == FH_INT) {
        cell_bits sum = (cell_bits)cell->sum.integer;
        write_bits(to, (uint64_t)sum);
        write_bits(to + 8, (uint64_t)(sum >> 64));
        return;
    }
    int exponent = 0;
    long double part = frexpl(fabsl(cell->sum.real), &exponent);
    write_bits(to, (uint64_t)ldexpl(part, SIGNIFICANT_BITS));
    write_bits(to + 8, (uint64_t)(uint32_t)exponent | (uint64_t) !!signbit(cell->sum.real) << 32);
}

static void read_sum(const unsigned char *from, enum fh_type type, struct series_cell *ret)
{
    uint64_t low = read_bits(from), high = read_bits(from + 8);
    if (type == FH_INT) {
        ret->sum.integer = (series_wide)((cell_bits)high << 64 | low);
        return;
    }
    long double sum = ldexpl((long double)low, (int)(int32_t)(uint32_t)high - SIGNIFICANT_BITS);
    ret->sum.real = high >> 32 ? -sum : sum;
}

static uint64_t bits_of_number(enum fh_type type, union series_number number)
{
    uint64_t bits = (uint64_t)number.integer;
    if (type != FH_INT)
        memcpy(&bits, &number.real, sizeof bits);
    return bits;
}

static union series_number number_of_bits(enum fh_type type, uint64_t bits)
{
    union series_number number = {.integer = (int64_t)bits};
    if (type != FH_INT)
        memcpy(&number.real, &bits, sizeof bits);
    return number;
}

void series_cell_write(const struct series_cell *cell, enum fh_type type,
                       unsigned char ret[static SERIES_CELL_SIZE])
{
    const union series_number numbers[] = {cell->min, cell->max, cell->first, cell->last};
    write_bits(ret, (uint64_t)cell->count);
    write_sum(cell, type, ret + SUM_AT);
    for (int i = 0; i < 4; i++)
        write_bits(ret + VALUES_AT + 8 * i, bits_of_number(type, numbers[i]));
    write_bits(ret + TIMES_AT, (uint64_t)cell->first_ms);
    write_bits(ret + TIMES_AT + 8, (uint64_t)cell->last_ms);
}

bool series_cell_read(const struct sql_value *value, enum fh_type type, struct series_cell *ret)
{
    *ret = (struct series_cell){0};
    if (value->kind == SQL_NULL)
        return true;
    if (value->kind != SQL_BLOB || value->length != SERIES_CELL_SIZE)
        return false;
    const unsigned char *bytes = (const unsigned char *)value->text;
    union series_number *const numbers[] = {&ret->min, &ret->max, &ret->first, &ret->last};
    ret->count = (int64_t)read_bits(bytes);
    read_sum(bytes + SUM_AT, type, ret);
    for (int i = 0; i < 4; i++)
        *numbers[i] = number_of_bits(type, read_bits(bytes + VALUES_AT + 8 * i));
    ret->first_ms = (int64_t)read_bits(bytes + TIMES_AT);
    ret->last_ms = (int64_t)read_bits(bytes + TIMES_AT + 8);
    return ret->count > 0;
}

enum fh_code series_cell_unknown(const struct fh_derived *declared, struct fh_error *error)
{
    return error_set(error, FH_UNSUPPORTED,
                     "A roll-up of %s is not in the form that this Freehold writes: the store was "
                     "changed by something else, or is damaged.",
                     declared->name);
}
