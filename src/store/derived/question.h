/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DERIVED_QUESTION_H
#define STORE_DERIVED_QUESTION_H

/* A question that was looked at: what of it gets into SQL, and in which order its hits come. */

#include "store/derived/internal.h"

#define QUESTION_FILTERS_MAX 16
#define QUESTION_VALUES_MAX (QUESTION_FILTERS_MAX + 4)

struct question {
    const struct fh_derived *declared;
    const struct fh_search *search;
    int64_t number; /* of the tables */
    int limit;
    int sort;          /* the field's; -1: by rank, or without text by key */
    int highlight;     /* the field's; -1: none */
    struct text match; /* in the language of FTS5; empty: everything */
    int phrases;       /* in it */
    int filter_count;
    int filters[QUESTION_FILTERS_MAX]; /* fields */
    /* The parameters: the match, if there is one, and the filters' values. */
    struct sql_value values[QUESTION_VALUES_MAX];
    int value_count;
    json_type tie; /* of what orders hits of the same place: an id in a table, or a key */
    json_t *after; /* [what it is ordered by, that]; NULL: from the beginning */
};

/* What search.c says of FH_INVALID. `search` outlives the question. `tie`: JSON_INTEGER for ids,
 * JSON_STRING for keys. */
enum fh_code question_init(struct question *question, const struct fh_derived *declared,
                           const struct fh_search *search, json_type tie, struct fh_error *error);
void question_release(struct question *question);

static inline bool question_has_text(const struct question *question)
{
    return question->match.length > 0;
}
/* Its last word may go on. */
static inline bool question_is_unfinished(const struct question *question)
{
    return question_has_text(question) && question->match.data[question->match.length - 1] == '*';
}
static inline bool question_is_ranked(const struct question *question)
{
    return question_has_text(question) && question->sort < 0;
}

/* A field's place among the columns of fh_derived_N_text. */
int question_text_column(const struct fh_derived *declared, int field);
/* -1: there is no such field with one of these uses. */
int question_field(const struct fh_derived *declared, const char *name, unsigned uses);

/* What each hit must have in one field or another: words that follow each other there. */
struct question_phrase {
    const char *text;
    size_t length;
    bool prefix; /* its last word may go on */
};
/* The next one of `match`, from *at, which begins as match.data. False: there is none. */
bool question_phrase(const char **at, struct question_phrase *ret);

/* The cursor behind a hit, of what it is ordered by and its tie, which is taken over; a new
 * reference. */
json_t *question_cursor(const struct question *question, const json_t *value, json_t *tie);

/* hits.c: the hit, as fh_search gives it but for its highlight. */
enum fh_code question_hit(const struct question *question, struct store_work *work, int64_t id,
                          json_t **ret, struct fh_error *error);
/* The highlights, if the question wants any, of `hits`, which are those of `best`, in its order. */
struct best;
enum fh_code question_highlight(const struct question *question, struct store_work *work,
                                const struct best *best, json_t *hits, struct fh_error *error);

#endif
