/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DERIVED_H
#define STORE_DERIVED_H

/*
 * Derived stores (include/freehold/derived.h). One lies inside the service's own store: what is
 * derived is part of the unit of work that derives it, is rolled back with it, and whoever asks
 * after the commit finds it. All that is in an FH_SEARCH was made of what is in the service's own
 * store, and can be made of that again; the points of an FH_SERIES nobody else has. An engine whose
 * stores can have some in them has a `const struct derived_ops`.
 */

#include <jansson.h>
#include <stdbool.h>

#include "store/store.h"

struct sql_value;

#define DERIVED_NAME_LENGTH_MAX 48
#define DERIVED_FIELDS_MAX 32
#define DERIVED_FIELD_LENGTH_MAX 64
#define DERIVED_WEIGHT_MAX 1000
#define DERIVED_KEY_LENGTH_MAX 255
#define DERIVED_VALUE_SIZE_MAX (1 << 20) /* as JSON text */
#define DERIVED_LIST_MAX 64              /* elements of an FH_LIST */
#define DERIVED_WORD_LENGTH_MAX 255      /* of a value that is found by equality */
#define DERIVED_DIGEST_SIZE 33

#define SEARCH_TEXT_LENGTH_MAX 256
#define SEARCH_WORDS_MAX 32
#define SEARCH_LIMIT_MAX 1000
#define SEARCH_LIMIT 20
#define SEARCH_HIGHLIGHT_SIZE_MAX ((size_t)32 << 10) /* of a page's texts, in memory */
#define SEARCH_COUNTS_MAX 100                        /* of one facet */
#define SEARCH_VALUES_MAX 100000 /* of all facets of a question, that are counted */

#define SERIES_KEEP_DAYS_MAX 36500
#define SERIES_AT_MS_MAX INT64_C(8640000000000000) /* of either sign; as JavaScript's */
#define SERIES_VALUES_MAX 32                       /* of a question */
#define SERIES_LIMIT_MAX 1000
#define SERIES_CURVES_MAX 100000        /* tags that a question finds points of */
#define SERIES_GROUPS_MAX 10000         /* curves that it is answered with */
#define SERIES_FOUND_MAX 1000000        /* points that it reads */
#define SERIES_VALUES_FOUND_MAX 2000000 /* of points, without intervals */
#define SERIES_ANSWERED_MAX 100000      /* values of all intervals, or points, of all curves */
#define COLUMNS_FILTER_VALUES_MAX 128   /* of a question */
#define COLUMNS_GROUPS_MAX 100000
#define COLUMNS_UNIQ_MAX 1000000 /* values that a question tells apart, in all groups */
#define COLUMNS_LIMIT_MAX 10000
#define COLUMNS_LIMIT 1000
#define SERIES_TRIM_ROWS 1000 /* removed, and looked at, in a unit of work */
#define SERIES_ROLLED_MAX 200 /* intervals of roll-ups written in one */
#define SERIES_ROLLUPS_MAX                                                                         \
    ((int)(sizeof((struct fh_derived *)NULL)->rollups / sizeof(struct fh_rollup)))
#define SERIES_LENGTHS_MAX                                                                         \
    16 /* of intervals that a store has at once, declared or not any more                          \
        */

/* How far a sweep has come. Zero-initialised. */
struct series_trimming {
    int64_t curve;   /* up to this one there is nothing left to remove */
    int64_t removed; /* points, and intervals of roll-ups, so far */
    bool done;
};

/* How far the filling of one from `state` has come. */
struct derived_filling {
    bool fills;                             /* false: it has all that belongs into it */
    char after[DERIVED_KEY_LENGTH_MAX + 1]; /* the last key; "": it begins */
};

/* A point of an FH_SERIES, or a fact of an FH_COLUMNS, as it is kept. */
struct derived_fact {
    int64_t id; /* of a point, that of its curve; of a fact, its number among those of its time.
                   With the time it tells it from all others that are kept */
    int64_t at_ms;
    const struct sql_value *values; /* of all fields, in their order: integers of an FH_BOOL */
};
/* False: no more is to be shown. */
typedef bool derived_visit(void *context, const struct derived_fact *fact);

struct series_past;
/* NULL is fine. */
void series_past_free(struct series_past *past);

struct derived_ops {
    /* Whether any were ever made in this store. */
    enum fh_code (*any)(struct store_work *work, bool *ret, struct fh_error *error);
    /* Makes what is declared and missing; drops what is not declared any more; makes anew, empty
     * and to be filled, what was declared otherwise and has a `state`. FH_UNSUPPORTED: it has none,
     * and holds something. In an open STORE_WRITE_EXCLUSIVE unit of work. */
    enum fh_code (*prepare)(struct store_work *work, const struct fh_derived *declared, int count,
                            struct fh_error *error);
    enum fh_code (*filling)(struct store_work *work, const char *name, struct derived_filling *ret,
                            struct fh_error *error);
    enum fh_code (*set_filling)(struct store_work *work, const char *name,
                                const struct derived_filling *filling, struct fh_error *error);
    /* Of a value that derived_value_check has taken. */
    enum fh_code (*put)(struct store_work *work, const struct fh_derived *declared, const char *key,
                        const json_t *value, struct fh_error *error);
    enum fh_code (*remove)(struct store_work *work, const struct fh_derived *declared,
                           const char *key, struct fh_error *error);
    /* In a unit of work that only reads; it may wait for others' questions: sql_ask. *ret: as
     * fh_search gives it, a new reference. FH_INVALID with a field: that of the question,
     * or of its filter, is unfit, or has too many values to be counted; without one the question is
     * wrong, which is the service's mistake. */
    enum fh_code (*search)(struct store_work *work, const struct fh_derived *declared,
                           const struct fh_search *search, json_t **ret, struct fh_error *error);

    /* Of series. A point that series_fact_check has taken, in place of one of its tags and time; it
     * is left out where points of its time have become roll-ups. *number, 0 at first, is for all
     * points of one declaration in one unit of work. *ret_id: as derived_fact.id; 0: it is left
     * out. */
    enum fh_code (*measure)(struct store_work *work, const struct fh_derived *declared,
                            int64_t *number, int64_t at_ms, const json_t *fact, int64_t *ret_id,
                            struct fh_error *error);
    /* *ret and failures: as of `search`. No point before `oldest_ms` is there, nor a roll-up that
     * is older than it is kept, reckoned from there. */
    enum fh_code (*series)(struct store_work *work, const struct fh_derived *declared,
                           const struct fh_series *series, int64_t oldest_ms, json_t **ret,
                           struct fh_error *error);
    /* The same, of a series with roll-ups whose points a server has as well: what this store says
     * to it (series_past.h). *ret: series_past_free. */
    enum fh_code (*past)(struct store_work *work, const struct fh_derived *declared,
                         const struct fh_series *series, int64_t oldest_ms,
                         struct series_past **ret, struct fh_error *error);
    /* Of columns. A fact that series_fact_check has taken, besides all others. */
    enum fh_code (*add)(struct store_work *work, const struct fh_derived *declared, int64_t *number,
                        int64_t at_ms, const json_t *fact, int64_t *ret_id, struct fh_error *error);
    /* As `series`. */
    enum fh_code (*columns)(struct store_work *work, const struct fh_derived *declared,
                            const struct fh_columns *columns, int64_t oldest_ms, json_t **ret,
                            struct fh_error *error);
    /* Of both. Shows `visit`, perhaps off the loop (sql_ask), the points or facts behind `after`
     * (NULL: from the first on), each once, in an order of their ids and times that stays, and none
     * before `oldest_ms`. In a unit of work that only reads. */
    enum fh_code (*list)(struct store_work *work, const struct fh_derived *declared,
                         const struct derived_fact *after, int64_t oldest_ms, derived_visit *visit,
                         void *context, struct fh_error *error);
    /* Of both. Removes points or facts before `oldest_ms`, or makes roll-ups of them, a bounded
     * number of them, and removes tags that no point has. Of an FH_SEARCH that erases its words
     * those that were removed are overwritten in the file, where that is due. To be called again
     * with the same `at`, once this is durable, until it is done. */
    enum fh_code (*trim)(struct store_work *work, const struct fh_derived *declared,
                         int64_t oldest_ms, struct series_trimming *at, struct fh_error *error);
};

extern const struct derived_ops derived_sql; /* on sql_run, with FTS5: SQLite's */

/* NULL: the engine keeps none. */
const struct derived_ops *derived_engine(const struct store *store);
/* Prepares what the service declares, in a unit of work of its own, but for an FH_SEARCH that lies
 * on a server (1u << i): of points and facts a server has a copy, and the store keeps them all the
 * same. Only looks where there are none and none was ever made. FH_UNSUPPORTED, too: the store's
 * engine keeps none. On a fiber. */
enum fh_code derived_prepare(struct store *store, const fh_service *service, unsigned carried,
                             struct fh_error *error);
int derived_count(const fh_service *service);
const char *derived_model_name(enum fh_model model); /* "FH_SEARCH", ... */
int series_rollup_count(const struct fh_derived *declared);
/* Where points begin, of a series that keeps them from `oldest_ms` on: a whole interval of its
 * first roll-up does. */
int64_t series_points_ms(const struct fh_derived *declared, int64_t oldest_ms);
/* NULL: the service declares none of this name. */
const struct fh_derived *derived_find(const fh_service *service, const char *name);

/* The following are pure. */
/* FH_INVALID: what is declared can't work. */
enum fh_code derived_check(const fh_service *service, struct fh_error *error);
bool derived_is_personal(const struct fh_derived *declared);  /* one of its fields */
bool derived_erases_words(const struct fh_derived *declared); /* one that is FH_TEXT */
/* Of everything that decides how values are kept. */
void derived_digest(const struct fh_derived *declared, char ret[static DERIVED_DIGEST_SIZE]);
/* FH_INVALID with a field: a text of the value, which may be a client's, can't be kept.
 * FH_UNSUPPORTED: it is not as declared, which is the service's mistake. */
enum fh_code derived_value_check(const struct fh_derived *declared, const json_t *value,
                                 struct fh_error *error);
enum fh_code derived_key_check(const char *key, struct fh_error *error); /* the same */
enum fh_code series_fact_check(const struct fh_derived *declared, int64_t at_ms, const json_t *fact,
                               struct fh_error *error); /* the same */
/* What derived_ops.series and .columns say of FH_INVALID, before anybody is asked. */
enum fh_code series_asked_check(const struct fh_derived *declared, const struct fh_series *series,
                                int64_t oldest_ms, struct fh_error *error);
enum fh_code columns_asked_check(const struct fh_derived *declared,
                                 const struct fh_columns *columns, int64_t oldest_ms,
                                 struct fh_error *error);

#endif
