/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DERIVED_SERIES_H
#define STORE_DERIVED_SERIES_H

/*
 * What the files of series share. A curve is all points of the same tags. The tables, of which the
 * number N is in the catalogue:
 *
 *     fh_derived_N        curve, at, v0, v1, ...   a point; v1: of the field 1, if it is measured
 *     fh_derived_N_curve  id, t0, t1, ...          its tags, once; t0: of the field 0, if FH_TAG
 *
 * Points are in the order of curve and time, and each is there once. A curve without points may be
 * there until the next sweep. What becomes of old points is in series_rollup.h.
 */

#include "store/derived/internal.h"

static inline bool series_is_tag(const struct fh_derived_field *field)
{
    return (field->use & FH_TAG) != 0;
}

/* ---- series_check.c, pure ---- */

/* FH_INVALID: what is declared can't work. */
enum fh_code series_field_check(const struct fh_derived *declared,
                                const struct fh_derived_field *field, struct fh_error *error);
enum fh_code series_declared_check(const struct fh_derived *declared, struct fh_error *error);
/* An integer, or a text of digits. */
bool series_integer(const json_t *value, int64_t *ret);
/* False: it is not of the type of this FH_TAG. What *ret points to is the value's. */
bool series_tag_value(const struct fh_derived_field *field, const json_t *value,
                      struct sql_value *ret);

/* The value that a field without a use is given, as it is kept; and that of any field. Of a fact
 * that series_fact_check has taken. */
struct sql_value series_measured_value(const struct fh_derived_field *field, const json_t *value);
struct sql_value series_value_of(const struct fh_derived_field *field, const json_t *value);
/* The place of a field; -1: there is none of that name, or, series_tag_at, none that is FH_TAG. */
int series_field_at(const struct fh_derived *declared, const char *name);
int series_tag_at(const struct fh_derived *declared, const char *name);
/* FH_INVALID with the field: a question's time that no `what` ("point", "fact") can have, or a
 * length that no interval can. */
enum fh_code series_times_check(const char *what, int64_t from_ms, int64_t to_ms, int64_t every_ms,
                                struct fh_error *error);
/* Of two values of one FH_TAG: texts by their bytes. */
int series_tag_compare(const struct sql_value *one, const struct sql_value *other);
/* Where the interval of that length begins in which a time lies. */
static inline int64_t series_floor(int64_t at_ms, int64_t every_ms)
{
    int64_t rest = at_ms % every_ms;
    return at_ms - (rest < 0 ? rest + every_ms : rest);
}

/* ---- series_create.c ---- */

enum fh_code series_create(struct store_work *work, const struct fh_derived *declared,
                           int64_t number, struct fh_error *error);

/* ---- A question: series_question.c, pure ---- */

enum series_function {
    SERIES_COUNT,
    SERIES_MEAN,
    SERIES_SUM,
    SERIES_MIN,
    SERIES_MAX,
    SERIES_FIRST,
    SERIES_LAST,
    SERIES_QUANTILE,
    SERIES_PLAIN /* of points */
};

struct series_value {
    enum series_function function;
    int percent; /* of SERIES_QUANTILE */
    int read;    /* the place of its field among those that are read; -1: points are counted */
};

/* What was asked, looked at. */
struct series_question {
    const struct fh_derived *declared;
    const struct fh_series *series;
    int64_t from_ms, to_ms; /* of the points that are read */
    int64_t points_ms;      /* ... a server reads them from here on alone */
    bool rolled;            /* and of roll-ups, of the same time */
    int64_t first_ms;       /* where the first interval begins */
    int intervals;          /* 0: points */
    int limit;              /* of points */
    int value_count, read_count, by_count, filter_count;
    struct series_value values[SERIES_VALUES_MAX];
    int reads[DERIVED_FIELDS_MAX];                      /* fields */
    bool sampled[DERIVED_FIELDS_MAX];                   /* of `reads`: quantiles are asked for */
    int by[DERIVED_FIELDS_MAX];                         /* fields */
    int filters[DERIVED_FIELDS_MAX];                    /* fields; */
    struct sql_value filter_values[DERIVED_FIELDS_MAX]; /* and their values, of the question's */
};

/* What derived_ops says of FH_INVALID. `series` outlives the question. Of one with roll-ups what is
 * too old is still in it: series_question_roll. */
enum fh_code series_question_init(struct series_question *question,
                                  const struct fh_derived *declared, const struct fh_series *series,
                                  int64_t oldest_ms, struct fh_error *error);

/* ---- What was found: series_tally.c, pure ---- */

union series_number {
    double real;     /* of an FH_NUMBER */
    int64_t integer; /* of an FH_INT */
};

__extension__ typedef __int128 series_wide;

/* Of one field in one interval of one curve of the answer. */
struct series_cell {
    int64_t count; /* of values that are not null; the others say something only if there are any */
    union {
        long double real; /* sums may be beyond a double on the way */
        series_wide integer;
    } sum;
    union series_number min, max, first, last;
    int64_t first_ms, last_ms;
    int first_curve, last_curve; /* of points of the same time those count */
};

struct series_sample {
    size_t cell;
    uint64_t order; /* the value, so that a greater one is greater */
};

struct series_point {
    int64_t at_ms;
    int group, curve; /* places */
    size_t values;    /* the place of the first one */
};

/* A curve in the store. One of the answer, a group, may be of several of them. */
struct series_curve {
    const struct series_question *question;
    int64_t id;
    int group, place;
    struct sql_value tags[]; /* of all fields, in their order; NULL where it is none */
};

struct series_tally {
    const struct series_question *question;
    struct series_curve **curves; /* in the order of the tags in `by`, then of the others */
    struct series_curve **by_id;  /* the same ones */
    size_t curve_count, curve_room;
    size_t past_count; /* of these, from series_past.h: others may have the same tags */
    int group_count;
    const struct series_curve *at; /* of the last point */

    int64_t found;             /* points */
    int64_t *counts;           /* points of each interval of each group */
    struct series_cell *cells; /* of each field that is read, of each interval, of each group */
    struct series_sample *samples;
    size_t sample_count, sample_room;

    struct series_point *points; /* without intervals */
    size_t point_count, point_room;
    struct sql_value *point_values;
    size_t point_value_count, point_value_room;
};

void series_tally_init(struct series_tally *tally, const struct series_question *question);
void series_tally_release(struct series_tally *tally);
/* Of the row: id, and the tags. FH_INVALID with a field: too many. */
enum fh_code series_tally_curve(struct series_tally *tally, const struct sql_row *row,
                                struct fh_error *error);
/* After the last curve: FH_INVALID with a field: more is asked for than is answered. */
enum fh_code series_tally_group(struct series_tally *tally, struct fh_error *error);
/* Of the row: curve, time, and the fields that are read. Rows of one curve are in the order of
 * time. Those of unknown curves are passed over. */
enum fh_code series_tally_point(struct series_tally *tally, const struct sql_row *row,
                                struct fh_error *error);
/* Of the row: curve, where an interval of a roll-up begins, how many points it has, and the cells
 * of the fields that are read. */
enum fh_code series_tally_rollup(struct series_tally *tally, const struct sql_row *row,
                                 struct fh_error *error);
/* NULL: there is no curve with that id. After series_tally_group. */
const struct series_curve *series_tally_known(struct series_tally *tally, int64_t id);
/* So many more were found. FH_INVALID with a field: too many. */
enum fh_code series_tally_more(struct series_tally *tally, int64_t count, struct fh_error *error);
/* After the last point, before an answer is made. */
void series_tally_sort(struct series_tally *tally);

static inline size_t series_interval_at(const struct series_tally *tally, int group, int interval)
{
    return (size_t)group * (size_t)tally->question->intervals + (size_t)interval;
}
static inline size_t series_cell_at(const struct series_tally *tally, size_t interval, int read)
{
    return interval * (size_t)tally->question->read_count + (size_t)read;
}
/* The value of this rank, from 1, among the samples of a cell. */
union series_number series_tally_ranked(const struct series_tally *tally, size_t cell, int64_t rank,
                                        enum fh_type type);

/* ---- The answer: series_answer.c, pure ---- */

/* *ret: a new reference. FH_INVALID with a field: a sum is no number of JSON's. */
enum fh_code series_answer(const struct series_tally *tally, json_t **ret, struct fh_error *error);

#endif
