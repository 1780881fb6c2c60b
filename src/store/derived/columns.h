/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DERIVED_COLUMNS_H
#define STORE_DERIVED_COLUMNS_H

/*
 * What the files of columns share. There is one table, of which the number N is in the catalogue:
 *
 *     fh_derived_N   at, seq, f0, f1, ...   a fact; seq tells those of one time apart
 *
 * Facts are in the order of time. A question walks through those of its time once, and keeps what
 * it counts for each group.
 */

#include "base/arena.h"
#include "store/derived/series.h"

/* ---- columns_create.c ---- */

enum fh_code columns_create(struct store_work *work, const struct fh_derived *declared,
                            int64_t number, struct fh_error *error);
/* Whether the table of this number is one of facts. */
enum fh_code columns_is_one(struct store_work *work, int64_t number, bool *ret,
                            struct fh_error *error);

/* columns_read.c: a slice of derived_ops.trim. */
enum fh_code columns_trim(struct store_work *work, int64_t number, int64_t oldest_ms,
                          struct series_trimming *at, struct fh_error *error);

/* ---- A question: columns_question.c, pure ---- */

enum columns_function {
    COLUMNS_COUNT,
    COLUMNS_SUM,
    COLUMNS_MEAN,
    COLUMNS_MIN,
    COLUMNS_MAX,
    COLUMNS_UNIQ
};

struct columns_value {
    enum columns_function function;
    int read; /* the place of its field among those that are read; -1: facts are counted */
    int uniq; /* of COLUMNS_UNIQ: which of them */
    bool has_min, has_max;
    long double min, max; /* of `having`: exact, as 64 bits of an integer are */
};

/* Of one field: a fact has one of these values. */
struct columns_filter {
    int field, first, count; /* of `filter_values` */
};

struct columns_question {
    const struct fh_derived *declared;
    const struct fh_columns *columns;
    int64_t from_ms, to_ms; /* of the facts that are read */
    int64_t every_ms;       /* 0: not by time */
    int limit;
    int value_count, read_count, by_count, filter_count, filter_value_count, uniq_count;
    struct columns_value values[SERIES_VALUES_MAX];
    int reads[DERIVED_FIELDS_MAX]; /* fields; those of `by` first */
    int by[DERIVED_FIELDS_MAX];    /* fields */
    struct columns_filter filters[DERIVED_FIELDS_MAX];
    struct sql_value filter_values[COLUMNS_FILTER_VALUES_MAX]; /* of the question's */
    int sort; /* -1: by group; a column of the answer */
};

/* What derived_ops says of FH_INVALID. `columns` outlives the question. */
enum fh_code columns_question_init(struct columns_question *question,
                                   const struct fh_derived *declared,
                                   const struct fh_columns *columns, int64_t oldest_ms,
                                   struct fh_error *error);
/* How many columns of the answer are the group's: those of `by`, and the time. */
static inline int columns_keys(const struct columns_question *question)
{
    return question->by_count + (question->every_ms > 0);
}

/* ---- What was found: columns_tally.c, pure ---- */

/* Of one field in one group. */
struct columns_cell {
    int64_t count; /* of values that are not null; the others say something only if there are any */
    union {
        long double real;
        series_wide integer;
    } sum;
    union series_number min, max;
};

struct columns_group {
    int64_t at_ms; /* where its interval begins */
    int64_t count; /* facts */
    struct sql_value *keys;
    struct columns_cell *cells; /* of each field that is read */
    int64_t *uniq;              /* of each COLUMNS_UNIQ */
    uint64_t hash;
};

struct columns_tally {
    const struct columns_question *question;
    struct arena arena;            /* groups, and the values that were told apart */
    struct columns_group **groups; /* as they were found */
    size_t group_count, group_room;
    uint32_t *slots; /* places in `groups`, from 1; 0: free */
    size_t slot_count;
    struct columns_seen **seen; /* values that were met, by their hashes */
    size_t seen_count, seen_room;
    struct columns_group *last; /* of the fact before */
};

void columns_tally_init(struct columns_tally *tally, const struct columns_question *question);
void columns_tally_release(struct columns_tally *tally);
/* Of the row: its time, and the fields that are read. FH_INVALID with a field: too many groups, or
 * values that are told apart. */
enum fh_code columns_tally_fact(struct columns_tally *tally, const struct sql_row *row,
                                struct fh_error *error);
/* Where others count: a group, in which they put what they have counted. New, or one that is there;
 * `keys` are copied. FH_INVALID with a field: as above. */
enum fh_code columns_tally_group(struct columns_tally *tally, int64_t at_ms,
                                 const struct sql_value *keys, struct columns_group **ret,
                                 struct fh_error *error);
/* FH_INVALID: what that says of more than COLUMNS_UNIQ_MAX values. */
enum fh_code columns_too_many_apart(struct fh_error *error);

/* ---- columns_answer.c, pure ---- */

/* *ret: a new reference. Sorts the groups. */
enum fh_code columns_answer(struct columns_tally *tally, json_t **ret, struct fh_error *error);

#endif
