/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DERIVED_SERIES_ROLLUP_H
#define STORE_DERIVED_SERIES_ROLLUP_H

/*
 * Roll-ups of a series. A point is kept as a point until it is older than the series keeps points.
 * Then the sweep puts it into the interval of the first roll-up in which it lies, and removes it,
 * in one transaction; what of that roll-up is too old for it goes the same way into the next one.
 * So each point counts in one place, and nothing is written twice when it is measured.
 *
 *     now      points_ms              levels[0].from_ms      levels[1].from_ms
 *     | points | intervals of level 0 | intervals of level 1 | nothing
 *
 * These bounds go with the time alone, not with how far the sweep has come: a question reads
 * whatever there is of its time, and of what the sweep has not moved yet as much counts as if it
 * had been. Each bound is where an interval of the coarser side begins, so no interval lies on both
 * sides.
 *
 * What has become an interval never becomes points again: a point that came again could not be told
 * from one that is in it already. So up to which time points have been moved is kept in the store,
 * and a point of an earlier time is left out, whatever the clock does, or the declaration. The same
 * is kept for intervals of each length, and no bound is ever before it. Where a shorter length is
 * not declared any more, that may be later than points are moved (alone_ms): then an interval has
 * what has been moved, and the points beside it are the rest of it.
 *
 *     fh_derived_N_rollup        every, curve, at, points, v1, ...   an interval; v1: a cell's
 * bytes fh_derived_N_rollup_until  every, until                        for each length in the
 * store, and 0: of points
 */

#include "store/derived/series.h"

/* ---- Which time is kept how: series_level.c, pure ---- */

struct series_level {
    int64_t every_ms, from_ms, to_ms;
};

struct series_levels {
    int64_t points_ms; /* points from here on stay points, */
    int64_t alone_ms;  /* and from here on there is nothing else; never before `points_ms` */
    int count;
    struct series_level levels[SERIES_ROLLUPS_MAX]; /* as they are declared, each before the last */
};

/* Of intervals that are in the store. */
struct series_length {
    int64_t every_ms;
    int64_t until_ms; /* there may be some of times before it */
    int level;        /* -1: it is not declared any more */
};

struct series_lengths {
    int64_t points_ms; /* points before it were moved */
    int count;
    struct series_length lengths[SERIES_LENGTHS_MAX]; /* the shortest first */
};

/* FH_INVALID: what is declared can't work. */
enum fh_code series_rollups_check(const struct fh_derived *declared, struct fh_error *error);
void series_levels_init(struct series_levels *levels, const struct fh_derived *declared,
                        const struct series_lengths *lengths, int64_t oldest_ms);
/* The first declared one, from `level` on, that intervals of that length fit into; -1: none. */
int series_level_fitting(const struct fh_derived *declared, int level, int64_t every_ms);
/* The level, from `level` on, that has this time; `count`: it is older than all of them. */
int series_level_at(const struct series_levels *levels, int level, int64_t at_ms);
/* What of a question's time was before points makes it whole intervals. FH_INVALID with a field: it
 * asks for what these can't answer. */
enum fh_code series_question_roll(struct series_question *question,
                                  const struct series_levels *levels, struct fh_error *error);
/* The least multiple from there on. */
static inline int64_t series_ceiling(int64_t at_ms, int64_t every_ms)
{
    return series_floor(at_ms + every_ms - 1, every_ms);
}

/* ---- An interval's bytes: series_cell.c, pure ---- */

#define SERIES_CELL_SIZE 72

void series_cell_write(const struct series_cell *cell, enum fh_type type,
                       unsigned char ret[static SERIES_CELL_SIZE]);
/* False: these are no cell's bytes. A NULL is one without values. */
bool series_cell_read(const struct sql_value *value, enum fh_type type, struct series_cell *ret);
/* A value that is not null, as a field of that type has it. */
union series_number series_number_of(enum fh_type type, const struct sql_value *value);
void series_cell_add(struct series_cell *cell, enum fh_type type, union series_number number,
                     int64_t at_ms, int curve);
void series_cell_merge(struct series_cell *cell, enum fh_type type, const struct series_cell *more);
enum fh_code series_cell_unknown(const struct fh_derived *declared, struct fh_error *error);

/* ---- In the store: series_rollup.c ---- */

/* Of a series that there is already, or is made now: makes its tables, or drops them, as it is
 * declared. FH_UNSUPPORTED: there are intervals that fit into none that is declared. */
enum fh_code series_rollups_prepare(struct store_work *work, const struct fh_derived *declared,
                                    int64_t number, struct fh_error *error);
enum fh_code series_rollups_any(struct store_work *work, int64_t number, bool *ret,
                                struct fh_error *error);
/* Of a series that has declared roll-ups. */
enum fh_code series_rollups_lengths(struct store_work *work, const struct fh_derived *declared,
                                    int64_t number, struct series_lengths *ret,
                                    struct fh_error *error);
/* `every_ms` 0: points were moved. */
enum fh_code series_rollups_set(struct store_work *work, int64_t number, int64_t every_ms,
                                int64_t until_ms, struct fh_error *error);
/* Up to where points were moved; *ret stays where none were. */
enum fh_code series_rollups_moved(struct store_work *work, int64_t number, int64_t *ret,
                                  struct fh_error *error);
/* "60000, 3600000", for IN (). */
void series_rollups_list(struct text *sql, const struct series_lengths *lengths);

/* ---- The sweep: series_age.c ---- */

/* As derived_ops.trim, of a series that has declared roll-ups. */
enum fh_code series_age(struct store_work *work, const struct fh_derived *declared, int64_t number,
                        int64_t oldest_ms, struct series_trimming *at, struct fh_error *error);

#endif
