/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FREEHOLD_DERIVED_H
#define FREEHOLD_DERIVED_H

/* A part of freehold.h, which includes it: derived stores (docs/guide/search.md, series.md,
 * columns.md), and reports. */

/*
 * What a service keeps besides its store, for questions that the store is bad at, in a store of
 * SQLite. It is written by the unit of work that changes the store, and is part of it.
 *
 *     FH_SEARCH   made of what is in the store: words are found by rank, values are filtered and
 *                 counted
 *     FH_SERIES   points in time, which nothing else keeps: what was measured, answered as curves
 *     FH_COLUMNS  facts, which nothing else keeps: what happened, summed up by groups
 */

/* What a field is for. One of FH_SERIES or FH_COLUMNS is FH_TAG, or has no use: it is measured. One
 * of FH_SEARCH has at least one. */
enum fh_use {
    FH_TEXT = 1,  /* its words are found: an FH_STRING, or each of an FH_LIST */
    FH_FACET = 2, /* as FH_TAG, and how often each value occurs among what was found is counted */
    FH_TAG = 4,   /* found by equality: an FH_STRING, FH_INT or FH_BOOL, or each of an FH_LIST */
    FH_SORTED = 8 /* what was found can be sorted by it: an FH_STRING, FH_INT or FH_NUMBER */
};

struct fh_derived_field {
    const char *name;  /* a member of the value: letters, digits and '_' */
    enum fh_type type; /* FH_LIST: an array of strings */
    unsigned use;      /* FH_TEXT | FH_FACET; 0: measured */
    int weight;        /* FH_TEXT: how much more a word counts here; 0: 1; at most 1,000 */
    /* Of FH_SEARCH alone: it may have what is personal (docs/guide/personal.md). A secret or a
     * card's can't be derived. */
    bool personal;
};

/* What an FH_SERIES keeps of points that are older than it keeps them: of each interval and curve
 * how many values each field had, their sum, the least, greatest, first and last one. */
struct fh_rollup {
    int64_t every_ms; /* the length of an interval; they begin at its multiples since 1970 */
    int keep_days;    /* as fh_derived.keep_days; 0, for ever, of the last one alone */
};

struct fh_derived {
    const char *name; /* of lower-case letters, digits and '_': "products" */
    enum fh_model model;
    const struct fh_derived_field *fields; /* at most 32; ends with {0} */
    /*
     * A GET handler that lists all that belongs into it: an array of rows, each the value with its
     * key as the first member, in the order of the keys, after the key `after`, at most `limit`
     * (both are in fh_query). It is filled from that when the service starts, before it serves,
     * where it is new or was declared otherwise. NULL: a new one begins empty, and the service does
     * not start with another declaration of one that is not.
     */
    fh_handler *state;
    enum fh_type keys;    /* of `state`: FH_STRING, or FH_INT; 0: FH_STRING */
    const char *language; /* "english": words are found by their stems; NULL: as they are */
    /* Raised where the values are made otherwise and the declaration is the same: it is made
     * anew. */
    int version;
    /* FH_SERIES, FH_COLUMNS: what is older is neither answered nor kept; may be changed at any
     * time. At most 36,500; 0: all is kept. `state`, `keys` and `language` are for FH_SEARCH alone.
     */
    int keep_days;
    /* FH_SERIES with `keep_days`: points that get older become intervals of the first, these once
     * they get older become intervals of the second, and so on. Each is kept longer than what it is
     * made of, and its length is a multiple of that of the one before. A {0} ends them. */
    struct fh_rollup rollups[4];
};

/* In a unit of work that writes: what is under `key` from now on, in place of whatever was there. A
 * member that no field names is left out; all that fields name are there, and only those that are
 * not FH_SORTED may be null. What the handler was given as personal is in fields alone that are
 * `.personal`, and in no key. A key has 1 to 255 bytes; at most 1,000 changes in a unit of work. */
FH_API void fh_derive(fh_work *w, const char *name, const char *key, json_t *value);
FH_API void fh_derive_gone(fh_work *w, const char *name, const char *key); /* if it is there */

struct fh_search {
    /* Words, all of which have to be found, in any of the fields; those in double quotes as a
     * phrase. At most 256 bytes and 32 words. NULL, or none: everything. */
    const char *text;
    json_t *filter;            /* {"category": "shoes", "colour": "red"}; NULL: none */
    const char *const *facets; /* whose values are counted; ends with NULL */
    const char *highlight;     /* an FH_TEXT field, of which is shown what was found */
    const char *sort;          /* an FH_SORTED field; NULL: the best first, without text by key */
    const char *after;         /* the `next` of an answer; NULL: from the beginning */
    int limit;                 /* 1 to 1,000; 0: 20 */
    bool descending;           /* with `sort` */
    bool prefix;               /* the last word may be a longer one's beginning: "sho", "shoes" */
};
/*
 * {"total": 31, "hits": [{"key": "p7", "value": {...}, "highlight": "a <mark>red</mark> shoe"}],
 * "facets": {"category": [{"value": "shoes", "count": 12}]}, "next": "..."}. The highlight is HTML,
 * about 32 words; counts are the 100 highest of a facet; `next` is null behind the last.
 *
 * In a GET handler it reads what the handler's other reads see. In others it is asking, before the
 * store is first used, and finds what is committed. Others are answered meanwhile; it ends, with
 * 503, at the deadline of the unit of work, and at once where too many wait. */
FH_API json_t *fh_search(fh_work *w, const char *name, size_t size, const struct fh_search *search);
/* Called as fh_search(w, "products", &search). */
#define fh_search(w, name, ...) fh_search(w, name, sizeof(struct fh_search), __VA_ARGS__)

/*
 * In a unit of work that writes: a point of an FH_SERIES. `fact` has all declared fields; others
 * are left out. Those that are FH_TAG say whose it is, and with the time, milliseconds since 1970
 * UTC, which point: given again it counts once, as it was given last. The others are numbers, or
 * null. Points come in any order, at most 1,000 in a unit of work; what is older than `.keep_days`
 * is left out. An FH_INT is an integer, or a text of digits.
 *
 * Of an FH_COLUMNS it is a fact, besides all others: given again, it is another one.
 */
FH_API void fh_fact(fh_work *w, const char *name, int64_t at_ms, json_t *fact);

/* What is answered of an interval without a value. */
enum fh_fill {
    FH_GAPS,     /* null */
    FH_PREVIOUS, /* the value before it */
    FH_LINEAR    /* what is on the straight line between the values around it */
};

struct fh_series {
    json_t *tags; /* {"device": "d1"}: only of points with these; NULL: of all */
    /* Of points from `from_ms` on and before `to_ms`. Both 0, without `every_ms`: whenever. */
    int64_t from_ms, to_ms;
    /* The length of an interval; they begin at the multiples of it since 1970. 0: no intervals, but
     * the last points. A multiple of that of the roll-ups that it asks for; of their time, whole
     * ones count, and there are no quantiles. */
    int64_t every_ms;
    /* "mean c", of the field c in each interval, or sum, min, max, first, last, count, p50, p95,
     * p99; "count" alone counts points. Without `every_ms`: fields; NULL: all that are measured. At
     * most 32; ends with NULL. */
    const char *const *values;
    const char *const *by; /* tags: a curve for each of their values; NULL: one. Ends with NULL */
    enum fh_fill fill;     /* with `every_ms` */
    int limit;             /* without it: of each curve the last points, 1 to 1,000; 0: 1 */
};
/*
 * {"values": ["mean c", "count"], "curves": [{"tags": {"device": "d1"}, "points": [[1700000000000,
 * 21.5, 60], [1700000060000, null, 0]]}]}: of each interval, or point, its time and the values.
 * Curves are those that have points, by their tags. At most 10,000 curves with 100,000 values, of
 * 1,000,000 points.
 *
 * When it may be asked: as fh_search.
 */
FH_API json_t *fh_series(fh_work *w, const char *name, size_t size, const struct fh_series *series);
/* Called as fh_series(w, "measured", &series). */
#define fh_series(w, name, ...) fh_series(w, name, sizeof(struct fh_series), __VA_ARGS__)

struct fh_columns {
    const char *const *by; /* tags: a row for each of their values; NULL: one row. Ends with NULL */
    /* "sum c", of the field c in each group, or mean, min, max, count; "uniq c" counts different
     * values, of a tag, too; "count" alone counts facts. At most 32; ends with NULL. */
    const char *const *values;
    /* {"category": "shoes", "site": [1, 2]}: only facts with these, or one of these; NULL: all */
    json_t *filter;
    json_t *having; /* {"sum c": {"min": 100, "max": 200}}: only rows within; NULL: all */
    /* One of `values` or `by`, or "at_ms"; NULL: by time, and then by the tags in `by`. */
    const char *sort;
    bool descending;
    int64_t from_ms, to_ms; /* of facts from the one on and before the other; both 0: whenever */
    /* A row for each interval, too; they begin at its multiples since 1970. 0: for all time. */
    int64_t every_ms;
    int limit; /* rows, 1 to 10,000; 0: 1,000 */
};
/*
 * {"columns": ["at_ms", "category", "sum c"], "rows": [[1700000000000, "shoes", 700]], "more":
 * false}: the time only with `every_ms`; `more`: there are rows behind the limit. Rows are of
 * groups that have facts. At most 100,000 groups, and 1,000,000 different values of "uniq".
 *
 * When it may be asked: as fh_search.
 */
FH_API json_t *fh_columns(fh_work *w, const char *name, size_t size,
                          const struct fh_columns *columns);
/* Called as fh_columns(w, "sold", &columns). */
#define fh_columns(w, name, ...) fh_columns(w, name, sizeof(struct fh_columns), __VA_ARGS__)

/* ---- Reports (docs/guide/reports.md) ---- */

/*
 * A report is a statement in a file beside the service, "reports/sales_by_day.sql", for questions
 * over much of what its store holds. It only reads, and notes before it say what it takes:
 *
 *     -- What was sold, by day.
 *     -- freehold: takes from_day text
 *     SELECT day, sum(cents) AS cents FROM sale WHERE day >= :from_day GROUP BY day ORDER BY day
 *
 * fh_report(w, "sales_by_day", fh_query(w)) answers as fh_rows does, [{"day": "...", "cents": 7}],
 * and looks for what it takes in the objects, in order. At most 100,000 rows, and 8 MiB; 422
 * beyond. Others are answered meanwhile; it ends, with 503, at the deadline of the unit of work,
 * and at once where too many wait. In stores on SQLite and PostgreSQL.
 *
 * When it may be asked: as fh_search, in a GET handler, in others before the store is first used.
 */
FH_API json_t *fh_report(fh_work *w, const char *name, ...) FH_OBJECTS;

/* A macro of this name ends the list of objects. `freehold check` looks for the report. */
#define fh_report(...) FH_SQL(fh_report, #__VA_ARGS__, __VA_ARGS__)

#endif
